/** `millrace embed`: the lines of a file in; their vectors out, as JSON lines or as an array of numpy's. */
import { type Command, Option } from "commander";
import { type Embedding, type EmbedFields, embedPoolings, MillraceError } from "millrace-client";
import { float32Text } from "../work/float-text.js";
import type { BulkWork, ResumableFlags } from "./bulk/file-run.js";
import { addBulkFlags, addRestartFlag, wholeNumber } from "./bulk/flags.js";
import { jsonlRows } from "./bulk/jsonl-rows.js";
import { npyRows } from "./bulk/npy-rows.js";
import type { RowsFormat } from "./bulk/rows.js";
import { type TextFlags, textsOrFile } from "./bulk/texts-or-file.js";
import { runRemote } from "./remote.js";

interface EmbedFlags extends ResumableFlags, TextFlags {
  readonly pooling?: NonNullable<EmbedFields["pooling"]>;
  readonly layer?: number;
  readonly dimensions?: number;
  readonly normalize?: boolean;
  readonly truncate?: boolean;
}

const examples = `
Examples:
  $ millrace embed "Where is the station?"
  $ millrace embed sentences.txt --out vectors.npy      float32, a row a line; numpy.load reads it
  $ millrace embed sentences.txt --out vectors.jsonl    {"line", "text", "embedding", …}
  $ millrace embed - < sentences.txt > vectors.jsonl

A run that was stopped or killed is gone on with by the same command.
`;

export function registerEmbed(program: Command): void {
  const command = program
    .command("embed")
    .summary("turn texts into vectors")
    .description("Turn a text, or the lines of a file, into vectors.")
    .argument("[file]", "one text a line; - for standard input; what is no file: the text itself")
    .option("--text <text...>", "these texts, whatever files there are")
    .option(
      "--out <file>",
      ".npy or .jsonl, gone on with by a later run; else JSON lines on stdout",
    )
    .addOption(new Option("--pooling <how>", "else the model's own").choices(embedPoolings))
    .option("--layer <n>", "-1 is the last", layerNumber)
    .option("--dimensions <n>", "only the first so many numbers", wholeNumber)
    .option("--no-normalize", "leave the vectors' lengths as they are")
    .option("--truncate", "cut what is too long instead of refusing it")
    .addHelpText("after", examples);
  addRestartFlag(addBulkFlags(command)).action((file: string | undefined, flags: EmbedFlags) =>
    runRemote(async (signal) => {
      const work = workOf(flags);
      const format = formatOf(work, flags);
      const { runFile, runTexts } = await import("./bulk/file-run.js");
      const given = await textsOrFile(file, flags);
      if ("texts" in given) return await runTexts(given.texts, work, { flags, signal });
      return await runFile(given.path, work, { flags, format, signal });
    }),
  );
}

function workOf(flags: EmbedFlags): BulkWork<string, Embedding> {
  const { pooling, layer, dimensions, truncate } = flags;
  const fields: EmbedFields = {
    ...(pooling === undefined ? {} : { pooling }),
    ...(layer === undefined ? {} : { layer }),
    ...(dimensions === undefined ? {} : { dimensions }),
    // Without the flag the model's own way counts, which may be either.
    ...(flags.normalize === false ? { normalize: false } : {}),
    ...(truncate === true ? { truncate } : {}),
  };
  return {
    command: "embed",
    arguments: fields,
    each: (client, texts, options) => client.embedEach(texts, { ...fields, ...options }),
    plain: (result) => ({
      ...result,
      embedding: pooling === "none" ? tokensOf(result) : numbersOf(result.embedding),
    }),
  };
}

function formatOf(
  { plain }: BulkWork<string, Embedding>,
  { out, pooling }: EmbedFlags,
): RowsFormat<Embedding> {
  if (out === undefined || out.endsWith(".jsonl")) return jsonlRows(plain);
  if (!out.endsWith(".npy")) {
    throw new MillraceError("option_invalid", `--out: ${out} must end in .npy or .jsonl`);
  }
  if (pooling === "none") {
    const message = "--pooling none gives a text as many rows as it has tokens: name a .jsonl";
    throw new MillraceError("option_invalid", message);
  }
  return npyRows(({ embedding }) => embedding);
}

function tokensOf({ embedding, inputTokens }: Embedding): number[][] {
  const width = embedding.length / inputTokens;
  if (!Number.isInteger(width)) {
    const message = `${embedding.length} numbers are no vectors of ${inputTokens} tokens`;
    throw new MillraceError("response_invalid", message);
  }
  return Array.from({ length: inputTokens }, (_, token) =>
    numbersOf(embedding.subarray(token * width, (token + 1) * width)),
  );
}

/** In the digits that the route's own JSON has. */
function numbersOf(vector: Float32Array): number[] {
  return Array.from(vector, (value) => Number(float32Text(value)));
}

function layerNumber(value: string): number {
  if (/^-?\d{1,4}$/.test(value)) return Number(value);
  throw new MillraceError("option_invalid", "--layer must be a whole number.");
}
