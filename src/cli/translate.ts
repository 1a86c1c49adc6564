/** `millrace translate`: arguments, stdin or a file in; one translation a line out, in order. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { MillraceError, workClasses } from "millrace-client";
import { exitCodes } from "./exit-codes.js";
import { defaultUrl, runRemote } from "./remote.js";
import type { TranslateFlags } from "./translate/flags.js";
import { readLines } from "./translate/lines.js";
import { assertWritable, render, writeWhole } from "./translate/output.js";
import { translateLines } from "./translate/requests.js";
import { reportFailures, summaryText } from "./translate/summary.js";

export function registerTranslate(program: Command): void {
  program
    .command("translate")
    .description("Translate arguments, lines of stdin, or lines of a file.")
    .argument("[text...]", "texts; without any, and without --datafile, stdin is read")
    .option("--datafile <file>", "one text a line; order and empty lines are kept")
    .option("--out <file>", "write here, complete or not at all, instead of stdout")
    .option("--url <url>", "the server; else MILLRACE_URL", defaultUrl)
    .option("--model <name>", "needed only where several are served")
    .option("--beams <n>", "hypotheses of the search, 1 to 8", count)
    .option("--n-best <n>", "alternatives, at most the beams; shown with --json", count)
    .addOption(new Option("--class <class>", "else by size").choices(workClasses))
    .option("--request-texts <n>", "texts in a request; 0: all in one (default: up to 1000)", count)
    .addOption(new Option("--batch-size <n>").argParser(count).hideHelp())
    .option("--expect-environment <name>", "refuse any other environment")
    .option("--json", "one JSON object a line instead of text")
    .option("--json-summary", "the summary as JSON")
    .option("--no-progress", "no progress bar")
    .action((texts: string[], flags: TranslateFlags & FormerFlags) =>
      runRemote((signal) => translate(texts, withoutFormer(flags), signal)),
    );
}

async function translate(
  args: readonly string[],
  flags: TranslateFlags,
  signal: AbortSignal,
): Promise<number> {
  const lines = await readLines(args, flags, signal);
  if (flags.out !== undefined) await assertWritable(flags.out);
  const startedMs = performance.now();
  const translated = await translateLines(lines, flags, signal);
  const elapsedMs = performance.now() - startedMs;
  signal.throwIfAborted();
  const text = render(translated.results, flags);
  if (flags.out === undefined) process.stdout.write(text);
  else await writeWhole(flags.out, text);
  const failed = reportFailures(translated.results);
  if (flags.datafile !== undefined || flags.jsonSummary === true) {
    const facts = { elapsedMs, failed, json: flags.jsonSummary === true };
    process.stderr.write(summaryText(translated, facts));
  }
  return failed > 0 ? exitCodes.itemsFailed : exitCodes.ok;
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
  process.stderr.write(
    "warning: --batch-size is now --request-texts; the former name answers for this release only\n",
  );
  return { ...flags, requestTexts: batchSize };
}

function count(value: string): number {
  if (/^\d{1,9}$/.test(value)) return Number(value);
  throw new InvalidArgumentError("Not a whole number.");
}
