/** `millrace classify`: the lines of a file, or the pictures of a folder, in; their labels out. */
import { stat } from "node:fs/promises";
import type { Command } from "commander";
import { type ClassifyFields, type ClassifyResult, MillraceError } from "millrace-client";
import type { BulkWork, ResumableFlags } from "./bulk/file-run.js";
import { addBulkFlags, addRestartFlag, wholeNumber } from "./bulk/flags.js";
import { jsonlRows } from "./bulk/jsonl-rows.js";
import { isPictureName } from "./bulk/pictures.js";
import { type TextFlags, textsOrFile } from "./bulk/texts-or-file.js";
import { runRemote } from "./remote.js";

interface ClassifyFlags extends ResumableFlags, TextFlags {
  readonly topK?: number;
  readonly raw?: boolean;
  readonly truncate?: boolean;
}

const examples = `
Examples:
  $ millrace classify "The station is closed." --model sentiment
  $ millrace classify cat.jpg
  $ millrace classify reviews.txt --out labels.jsonl     {"line", "text", "labels": [{"label", "score"}, …]}
  $ millrace classify ./photos --out labels.jsonl        {"index", "file", "labels": …}
  $ millrace classify - --model sentiment < reviews.txt

A run that was stopped or killed is gone on with by the same command.
The server needs a model for it, which the bundled ones are not: see \`millrace convert --help\`.
`;

export function registerClassify(program: Command): void {
  const command = program
    .command("classify")
    .summary("label texts or pictures")
    .description("Label a text or a picture, the lines of a file, or the pictures of a folder.")
    .argument(
      "[file]",
      "one text a line; - for standard input; a picture, or a folder of them; what is no file: the text itself",
    )
    .option("--text <text...>", "these texts, whatever files there are")
    .option("--out <file>", ".jsonl, gone on with by a later run; else JSON lines on stdout")
    .option("--top-k <n>", "only so many labels, the best", wholeNumber)
    .option("--raw", "the model's own numbers too")
    .option("--truncate", "cut what is too long instead of refusing it")
    .addHelpText("after", examples);
  addRestartFlag(addBulkFlags(command)).action((path: string | undefined, flags: ClassifyFlags) =>
    runRemote((signal) => classify(path, flags, signal)),
  );
}

async function classify(
  argument: string | undefined,
  flags: ClassifyFlags,
  signal: AbortSignal,
): Promise<number> {
  const { out, topK, raw, truncate } = flags;
  if (out?.endsWith(".jsonl") === false) {
    throw new MillraceError("option_invalid", `--out: ${out} must end in .jsonl`);
  }
  const fields: ClassifyFields = {
    ...(topK === undefined ? {} : { topK }),
    ...(raw === true ? { raw } : {}),
    ...(truncate === true ? { truncate } : {}),
  };
  const plain = (result: ClassifyResult): object => result;
  const work = { command: "classify", arguments: fields, plain } as const;
  const given = await textsOrFile(argument, flags);
  if ("path" in given && (await isOfPictures(given.path))) {
    const each: BulkWork<Uint8Array, ClassifyResult>["each"] = (client, pictures, options) =>
      client.classifyPicturesEach(pictures, { ...fields, ...options });
    const { runPictures } = await import("./bulk/folder-run.js");
    return await runPictures([given.path], { ...work, each }, { flags, signal });
  }
  const each: BulkWork<string, ClassifyResult>["each"] = (client, texts, options) =>
    client.classifyEach(texts, { ...fields, ...options });
  const { runFile, runTexts } = await import("./bulk/file-run.js");
  if ("texts" in given) return await runTexts(given.texts, { ...work, each }, { flags, signal });
  const format = jsonlRows(plain);
  return await runFile(given.path, { ...work, each }, { flags, format, signal });
}

async function isOfPictures(path: string): Promise<boolean> {
  if (path === "-") return false;
  return isPictureName(path) || (await stat(path)).isDirectory();
}
