/** `millrace rerank`: a query, and the lines of a file in; the lines that answer it best out. */
import type { Command } from "commander";
import { MillraceError, type RerankFields, type RerankResult } from "millrace-client";
import type { BulkOutcome, BulkOutput, InputPlace } from "./bulk/entry.js";
import { addBulkFlags, type BulkFlags, fieldsOf, wholeNumber } from "./bulk/flags.js";
import { lineSource } from "./bulk/lines.js";
import { ProgressBar } from "./bulk/progress-bar.js";
import { runBulk } from "./bulk/run-bulk.js";
import { summaryText } from "./bulk/summary.js";
import { openTextOutput } from "./bulk/text-output.js";
import { tellTexts } from "./bulk/texts-or-file.js";
import { amountOf, openWorkplace } from "./bulk/workplace.js";
import { exitCodes } from "./exit-codes.js";
import { tell } from "./print.js";
import { runRemote } from "./remote.js";

interface RerankFlags extends BulkFlags {
  readonly top: number;
  readonly raw?: boolean;
  readonly truncate?: boolean;
}

const examples = `
Examples:
  $ millrace rerank "how do I renew a passport" passages.txt --top 5
  $ millrace rerank "how do I renew a passport" - < passages.txt | jq -r .text

The server needs a model for it, which the bundled ones are not: see \`millrace convert --help\`.
`;

export function registerRerank(program: Command): void {
  const command = program
    .command("rerank")
    .summary("find the lines of a file that answer a query best")
    .description("Find the lines of a file that answer a query best.")
    .argument("<query>", "what is asked")
    .argument("<file>", "one text a line; - for standard input")
    .option("--top <n>", "so many lines, the best first", wholeNumber, 10)
    .option("--out <file>", "write here, complete or not at all, instead of stdout")
    .option("--raw", "the model's own numbers too")
    .option("--truncate", "cut what is too long instead of refusing it")
    .addHelpText("after", examples);
  addBulkFlags(command).action((query: string, file: string, flags: RerankFlags) =>
    runRemote((signal) => rerank({ query, file, flags }, signal)),
  );
}

interface Asked {
  readonly query: string;
  readonly file: string;
  readonly flags: RerankFlags;
}

async function rerank({ query, file, flags }: Asked, signal: AbortSignal): Promise<number> {
  const { top, raw, truncate } = flags;
  if (top < 1) throw new MillraceError("option_invalid", "--top must be 1 or more.");
  const lines = { linesBefore: 0, startByte: 0, prefix: null, blank: null, flag: "FILE" } as const;
  const source = await lineSource(file, lines, signal);
  await using out = await openTextOutput(flags.out, { input: file, signal });
  await tellTexts([query], flags, () => ": the query comes first, then the file of lines");
  const work = { task: "rerank", amount: await amountOf(file) };
  await using client = await openWorkplace(flags, work, signal);
  const fields: RerankFields = {
    ...fieldsOf(flags),
    ...(raw === true ? { raw } : {}),
    ...(truncate === true ? { truncate } : {}),
  };
  const startedMs = performance.now();
  const each = (texts: AsyncIterable<string | MillraceError>, onProgress: () => void) =>
    client.rerankEach(query, texts, { ...fields, signal, onProgress });
  const bar = new ProgressBar(flags, { unit: "texts", before: 0 });
  const output = new BestLines(top);
  const sums = await runBulk({ source, each, output, bar }, signal);
  for (const line of output.best()) await out.write(`${JSON.stringify(line)}\n`);
  await out.end();
  const elapsedMs = performance.now() - startedMs;
  const facts = { ...sums, elapsedMs, unit: "text", kept: null, skipped: null };
  if (flags.jsonSummary === true) tell(summaryText(facts, true));
  return sums.failed > 0 ? exitCodes.itemsFailed : exitCodes.ok;
}

interface ScoredLine extends RerankResult {
  readonly line: number;
  readonly text: string;
}

/** Keeps twice the wanted ones at most, so that a file of any length has room. */
class BestLines implements BulkOutput<RerankResult> {
  readonly #top: number;
  #lines: ScoredLine[] = [];

  constructor(top: number) {
    this.#top = top;
  }

  async put(place: InputPlace, outcome: BulkOutcome<RerankResult>): Promise<void> {
    if (place.kind !== "line" || outcome === null || "error" in outcome) return;
    this.#lines.push({ line: place.line, text: place.text ?? "", ...outcome });
    if (this.#lines.length >= this.#top * 2) this.#lines = this.best();
    await Promise.resolve();
  }

  /** Of equal scores the first stays first. */
  best(): ScoredLine[] {
    return this.#lines.toSorted((left, right) => right.score - left.score).slice(0, this.#top);
  }
}
