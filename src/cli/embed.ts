/** `millrace embed`: the lines of a file in; their vectors out, as JSON lines or as an array of numpy's. */
import { type Command, Option } from "commander";
import { type Embedding, type EmbedFields, MillraceError } from "millrace-client";
import { type BulkWork, type ResumableFlags, runFile } from "./bulk/file-run.js";
import { addBulkFlags, addRestartFlag, wholeNumber } from "./bulk/flags.js";
import { jsonlRows } from "./bulk/jsonl-rows.js";
import { npyRows } from "./bulk/npy-rows.js";
import type { RowsFormat } from "./bulk/rows.js";
import { runRemote } from "./remote.js";

interface EmbedFlags extends ResumableFlags {
  readonly pooling?: NonNullable<EmbedFields["pooling"]>;
  readonly layer?: number;
  readonly dimensions?: number;
  readonly normalize?: boolean;
  readonly truncate?: boolean;
}

const poolings = ["mean", "max", "mean-max", "cls", "sep"] as const;

const examples = `
Examples:
  $ millrace embed sentences.txt --out vectors.npy      float32, a row a line; numpy.load reads it
  $ millrace embed sentences.txt --out vectors.jsonl    {"line", "text", "embedding", …}
  $ millrace embed - < sentences.txt > vectors.jsonl

A run that was stopped or killed is gone on with by the same command.
`;

export function registerEmbed(program: Command): void {
  const command = program
    .command("embed")
    .description("Turn the lines of a file into vectors.")
    .argument("<file>", "one text a line; - for standard input")
    .option(
      "--out <file>",
      ".npy or .jsonl, gone on with by a later run; else JSON lines on stdout",
    )
    .addOption(new Option("--pooling <how>", "else the model's own").choices(poolings))
    .option("--layer <n>", "-1 is the last", layerNumber)
    .option("--dimensions <n>", "only the first so many numbers", wholeNumber)
    .option("--no-normalize", "leave the vectors' lengths as they are")
    .option("--truncate", "cut what is too long instead of refusing it")
    .addHelpText("after", examples);
  addRestartFlag(addBulkFlags(command)).action((file: string, flags: EmbedFlags) =>
    runRemote((signal) => {
      const format = formatOf(flags.out);
      return runFile(file, workOf(flags), { flags, format, signal });
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
    plain,
  };
}

function formatOf(out: string | undefined): RowsFormat<Embedding> {
  if (out === undefined || out.endsWith(".jsonl")) return jsonlRows(plain);
  if (out.endsWith(".npy")) return npyRows(({ embedding }) => embedding);
  throw new MillraceError("option_invalid", `--out: ${out} must end in .npy or .jsonl`);
}

/** Nine digits tell every float32 from every other; a double would have seventeen. */
function plain(result: Embedding): object {
  const embedding = Array.from(result.embedding, (value) => Number(value.toPrecision(9)));
  return { ...result, embedding };
}

function layerNumber(value: string): number {
  if (/^-?\d{1,4}$/.test(value)) return Number(value);
  throw new MillraceError("option_invalid", "--layer must be a whole number.");
}
