/**
 * `npm run demo`: starts a server on the bundled model, lets six people and a robot use it at once, shows what came
 * back and where the time went, and stops everything. `--items N` makes the robot's file N sentences long.
 */
import { parseArgs } from "node:util";
import { createServer } from "millrace";
import { Millrace } from "millrace-client";
import { collectBatches } from "./demo/batches.js";
import { beams, type Caller, type CallerReport, call } from "./demo/callers.js";
import { showProgress } from "./demo/progress.js";
import * as report from "./demo/report.js";
import { bundledSentences, madeSentences, madeSentencesMax } from "./demo/sentences.js";

const { items: wanted } = parseArgs({ options: { items: { type: "string" } } }).values;
const items = wanted === undefined ? madeSentencesMax : Number(wanted);
if (!Number.isInteger(items) || items < 1 || items > madeSentencesMax) {
  process.stderr.write(`option_invalid: --items: a whole number from 1 to ${madeSentencesMax}\n`);
  process.exit(2);
}

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    stop.abort();
    // A second one ends at once; the workers see that their parent is gone and end too.
    process.once(signal, () => process.exit(130));
  });
}

try {
  await demo(stop.signal);
} catch (error) {
  if (!stop.signal.aborted) throw error;
  report.print("\nInterrupted; everything is stopped.");
  process.exitCode = 130;
}

async function demo(signal: AbortSignal): Promise<void> {
  const startedMs = performance.now();
  report.print("Starting a server on the bundled model …");
  await using server = await createServer({ port: 0, logLevel: "warn" });
  signal.throwIfAborted();
  await using client = new Millrace(server.url);
  const { models } = await client.models();
  const { pipelines } = await client.status();
  const [model] = models;
  report.print(
    `Ready after ${report.seconds(performance.now() - startedMs)}: ${model?.name}, ${model?.precision}, ` +
      `${pipelines.length} worker process${pipelines.length === 1 ? "" : "es"}, at ${server.url}`,
  );

  const callers = [...people(), robot()];
  report.printTitle("Six people and a robot, all at once", "sentences translated");
  const workMs = performance.now();
  const done = new AbortController();
  const collected = collectBatches(server.url, done.signal);
  const progress = showProgress(callers, Math.max(...callers.map(({ name }) => name.length)));
  let reports: CallerReport[];
  try {
    reports = await Promise.all(
      callers.map((caller) =>
        call(caller, { url: server.url, signal, onDone: (n) => progress.add(caller.name, n) }),
      ),
    );
  } finally {
    progress.stop();
    done.abort();
  }
  const elapsedMs = performance.now() - workMs;
  show(reports, elapsedMs);

  const status = await client.status();
  report.printTitle("What each class waited for a worker", "people overtake the robot");
  report.printWaits(status);
  report.printTitle("The batches that were packed", "by class and reason, then the ten largest");
  report.printBatches(await collected);
  report.printTitle("Where the time went", "all workers together");
  report.printStages(status);
  report.print();
  report.print("Stopping …");
  const drained = await server.close();
  report.print(
    `Everything is stopped, after ${report.seconds(performance.now() - startedMs)} in all.`,
  );
  if (!drained) process.exitCode = 1;
}

/** Somebody reads for a while before the next question; the pauses differ, so that nobody walks in step. */
function people(): Caller[] {
  const sentences = bundledSentences();
  const names = ["Amara", "Bruno", "Chen", "Dilek", "Elena", "Farid"];
  const each = Math.min(sentences.length / names.length, Math.ceil(items / 10));
  return names.map((name, at) => ({
    name,
    class: "realtime",
    sentences: sentences.filter((_, index) => index % names.length === at).slice(0, each),
    perRequest: at === names.length - 1 ? 3 : 1,
    pauseMs: 150 + 50 * at,
  }));
}

function robot(): Caller {
  const sentences = madeSentences(items);
  return { name: "robot", class: "bulk", sentences, perRequest: items, pauseMs: 0 };
}

function show(reports: readonly CallerReport[], elapsedMs: number): void {
  const columns = process.stdout.isTTY ? process.stdout.columns : 100;
  for (const each of reports) {
    const answers = each.caller.class === "bulk" ? each.answers.slice(0, 6) : each.answers;
    const left = each.answers.length - answers.length;
    report.printTitle(
      each.caller.name,
      left > 0
        ? `the first ${answers.length} of ${each.answers.length}; the time is the whole file's`
        : "",
    );
    report.printTranslations({ ...each, answers }, columns);
  }
  const sentences = reports.reduce((sum, { answers }) => sum + answers.length, 0);
  report.printTitle(
    `${sentences} sentences in ${report.seconds(elapsedMs)}`,
    `${(elapsedMs / sentences).toFixed(1)} ms a sentence, with ${beams} beams`,
  );
  report.printCallers(reports);
}
