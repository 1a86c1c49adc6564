/** The sentences of a comparison, in the forms that each side takes: texts, ids, and pieces for the one that looks them up itself. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createTokenizer } from "#src/prepare/text/huggingface-tokenizers.js";
import { Random } from "../../test/sim/random.js";
import { ownFile, readLines, takeLines } from "../serving/lines.js";

export interface SentenceSet {
  readonly name: string;
  /** Where they are from, for people. */
  readonly from: string;
  readonly texts: readonly string[];
  readonly ids: readonly (readonly number[])[];
  /** JSON of `ids`. */
  readonly idsFile: string;
  /** JSON of every second of them, from the first and from the second. */
  readonly halfFiles: readonly [string, string];
  /** A sentence a line, its pieces with spaces between. */
  readonly piecesFile: string;
}

/** Held-out sentences of the default model, each with what the model says in float32; null where they are not beside the checkout. */
export function readReference(sourceDir: string): readonly ReferenceRow[] | null {
  const path = join(sourceDir, "reference.json");
  if (!existsSync(path)) return null;
  const { rows } = JSON.parse(readFileSync(path, "utf8")) as { readonly rows: ReferenceRow[] };
  return rows;
}

export interface ReferenceRow {
  readonly source: string;
  readonly greedy: { readonly ids: readonly number[] };
  readonly beam4: { readonly ids: readonly number[] };
}

/** Short ones: a file, or the held-out sentences in a made order, or those that the project calibrates on. */
export function shortTexts(file: string | undefined, reference: readonly ReferenceRow[] | null) {
  if (file !== undefined) return { from: file, texts: readLines(file) };
  if (reference !== null) {
    const texts = new Random(1).shuffled(reference.map(({ source }) => source));
    return { from: "held-out sentences of the default model, shuffled", texts };
  }
  return { from: ownFile, texts: readLines(ownFile) };
}

/** `count` of them; where there are fewer they are taken again from the first on. Nobody here remembers what it translated. */
export function sentenceSet(
  dir: string,
  from: { readonly name: string; readonly from: string; readonly texts: readonly string[] },
  how: { readonly tokenizerFile: string; readonly count: number },
): SentenceSet {
  const json = JSON.parse(readFileSync(how.tokenizerFile, "utf8")) as object;
  const tokenizer = createTokenizer(json, { clean_up_tokenization_spaces: false });
  const texts = takeLines(from.texts, 0, how.count);
  const encoded = texts.map((text) => tokenizer.encode(text));
  const ids = encoded.map((each) => each.ids);
  const file = (name: string, content: string): string => {
    const path = join(dir, `${from.name}.${name}`);
    writeFileSync(path, content);
    return path;
  };
  const half = (first: number) => JSON.stringify(ids.filter((_, at) => at % 2 === first));
  const pieces = ids.map((each) => each.map((id) => tokenizer.id_to_token(id)).join(" "));
  return {
    ...from,
    texts,
    ids,
    idsFile: file("ids.json", JSON.stringify(ids)),
    halfFiles: [file("half-0.json", half(0)), file("half-1.json", half(1))],
    piecesFile: file("pieces.txt", `${pieces.join("\n")}\n`),
  };
}
