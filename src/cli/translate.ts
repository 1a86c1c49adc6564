/** `millrace translate`: arguments, stdin or a file in; one translation a line out, in order. */
import { type Command, Option } from "commander";
import { MillraceError, type TranslateEachOptions, type TranslateResult } from "millrace-client";
import type { BulkOutcome, BulkOutput, BulkSource, InputPlace } from "./bulk/entry.js";
import { addBulkFlags, fieldsOf, wholeNumber } from "./bulk/flags.js";
import { lineSource, linesOf } from "./bulk/lines.js";
import { ProgressBar } from "./bulk/progress-bar.js";
import { runBulk } from "./bulk/run-bulk.js";
import { summaryText } from "./bulk/summary.js";
import { openTextOutput, type TextOutput } from "./bulk/text-output.js";
import { tellTexts } from "./bulk/texts-or-file.js";
import { amountOf, openWorkplace } from "./bulk/workplace.js";
import { exitCodes } from "./exit-codes.js";
import type { DurableFlags } from "./jobs/durable-translate.js";
import { tell } from "./print.js";
import { runRemote } from "./remote.js";

interface TranslateFlags extends DurableFlags {
  readonly requestTexts?: number;
  readonly durable?: boolean;
}

const examples = `
Examples:
  $ millrace translate "Where is the station?" "Good morning."      by a server that runs here, else by itself
  $ echo "Good morning." | millrace translate
  $ millrace translate --datafile book.en.txt --out book.zh.txt     a line in is a line out
  $ millrace translate --datafile huge.txt --out huge.zh.txt --durable    a server keeps it; again: goes on
  $ millrace translate "Good morning." --beams 4 --n-best 3 --json
`;

export function registerTranslate(program: Command): void {
  const command = program
    .command("translate")
    .summary("translate arguments, or the lines of a file")
    .description("Translate arguments, lines of stdin, or lines of a file.")
    .argument("[text...]", "texts; without any, or with - alone, stdin is read")
    .option("--datafile <file>", "one text a line; order and empty lines are kept")
    .option("--out <file>", "write here, complete or not at all, instead of stdout")
    .option("--beams <n>", "hypotheses of the search, 1 to 8", wholeNumber)
    .option("--n-best <n>", "alternatives, at most the beams; shown with --json", wholeNumber)
    .option(
      "--request-texts <n>",
      "texts in a request; 0: all in one (default: up to 1000)",
      wholeNumber,
    )
    .addOption(new Option("--batch-size <n>").argParser(wholeNumber).hideHelp())
    .option("--json", "one JSON object a line instead of text")
    .option("--durable", "as a job that a server keeps; the same command again goes on with it")
    .option("--restart", "with --durable: another job, and --out anew")
    .addHelpText("after", examples);
  addBulkFlags(command).action((texts: string[], flags: TranslateFlags & FormerFlags) =>
    runRemote((signal) => translate(isStdin(texts) ? [] : texts, withoutFormer(flags), signal)),
  );
}

/** As everywhere; nobody has a dash translated, and what came in would be lost. */
function isStdin(texts: readonly string[]): boolean {
  return texts.length === 1 && texts[0] === "-";
}

async function translate(
  args: readonly string[],
  flags: TranslateFlags,
  signal: AbortSignal,
): Promise<number> {
  if (flags.durable === true) return await durably(args, flags, signal);
  if (flags.restart === true) {
    throw new MillraceError("option_invalid", "--restart says nothing without --durable");
  }
  const source = await sourceOf(args, flags, signal);
  await using out = await openTextOutput(flags.out, { input: flags.datafile ?? null, signal });
  await tellTexts(args, flags, (path) => `: --datafile ${path} has its lines translated`);
  const amount = await amountOf(args.length > 0 ? args : (flags.datafile ?? "-"));
  await using client = await openWorkplace(flags, { task: "translate", amount }, signal);
  const startedMs = performance.now();
  const each = (texts: AsyncIterable<string | MillraceError>, onProgress: () => void) =>
    client.translateEach(texts, { ...requestOf(flags), signal, onProgress });
  const bar = new ProgressBar(flags, { unit: "texts", before: 0 });
  const output = new TranslatedLines(out, flags.json === true);
  const sums = await runBulk({ source, each, output, bar }, signal);
  await out.end();
  if (flags.datafile !== undefined || flags.jsonSummary === true) {
    const elapsedMs = performance.now() - startedMs;
    const facts = { ...sums, elapsedMs, unit: "sentence", kept: null, skipped: null };
    tell(summaryText(facts, flags.jsonSummary === true));
  }
  return sums.failed > 0 ? exitCodes.itemsFailed : exitCodes.ok;
}

async function durably(
  args: readonly string[],
  flags: TranslateFlags,
  signal: AbortSignal,
): Promise<number> {
  if (args.length > 0) throw new MillraceError("option_invalid", "--durable takes no texts");
  if (flags.requestTexts !== undefined) {
    throw new MillraceError("option_invalid", "--request-texts says nothing with --durable");
  }
  const { translateDurably } = await import("./jobs/durable-translate.js");
  return await translateDurably(flags, signal);
}

/** A blank line is not sent: there is nothing in it to translate. */
async function sourceOf(
  args: readonly string[],
  { datafile }: TranslateFlags,
  signal: AbortSignal,
): Promise<BulkSource<string>> {
  if (args.length > 0) {
    if (datafile === undefined) return linesOf(args, { blank: null });
    throw new MillraceError("option_invalid", "give texts or --datafile, not both");
  }
  const start = { linesBefore: 0, startByte: 0, prefix: null, blank: null };
  return await lineSource(datafile ?? null, { ...start, flag: "--datafile" }, signal);
}

class TranslatedLines implements BulkOutput<TranslateResult> {
  readonly #out: TextOutput;
  readonly #json: boolean;

  constructor(out: TextOutput, json: boolean) {
    this.#out = out;
    this.#json = json;
  }

  async put(place: InputPlace, outcome: BulkOutcome<TranslateResult>): Promise<void> {
    const line = place.kind === "line" ? place.line : place.index + 1;
    // One line in is one line out, or files would no longer match line by line.
    const text = this.#json
      ? JSON.stringify({ line, ...(outcome ?? { text: "" }) })
      : outcome !== null && "text" in outcome
        ? outcome.text.replace(/\r?\n/g, " ")
        : "";
    await this.#out.write(`${text}\n`);
  }
}

function requestOf(flags: TranslateFlags): TranslateEachOptions {
  const { beams, nBest, requestTexts } = flags;
  return {
    ...fieldsOf(flags),
    ...(beams === undefined ? {} : { beams }),
    ...(nBest === undefined ? {} : { nBest }),
    ...(requestTexts === undefined
      ? {}
      : requestTexts === 0
        ? { requestInputsMax: Infinity, requestSizeMax: Infinity }
        : { requestInputsMax: requestTexts }),
  };
}

interface FormerFlags {
  /** `--request-texts` until the release before; answers for this one. */
  readonly batchSize?: number;
}

/** @throws MillraceError `option_invalid` where both names were given. */
function withoutFormer({ batchSize, ...flags }: TranslateFlags & FormerFlags): TranslateFlags {
  if (batchSize === undefined) return flags;
  if (flags.requestTexts !== undefined) {
    const message =
      "--batch-size and --request-texts contradict each other: they are the same option";
    throw new MillraceError("option_invalid", message);
  }
  tell(
    "warning: --batch-size is now --request-texts; the former name answers for this release only\n",
  );
  return { ...flags, requestTexts: batchSize };
}
