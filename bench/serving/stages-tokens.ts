/** Text or token ids: what the server's front, and a caller, pay for making tokens of text. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createTokenizer } from "#src/prepare/text/huggingface-tokenizers.js";
import { readGeneration } from "../../test/support/read-generation.js";
import { processTimeMs } from "../harness/process-time.js";
import { ratios } from "../harness/report.js";
import { inTurns } from "../harness/rounds.js";
import { takeLines } from "./lines.js";
import type { Served } from "./served.js";
import type { Experiment } from "./settings.js";
import { type Call, sumOf, type Wave } from "./wave.js";

export interface StagesBench {
  readonly experiment: Experiment;
  readonly server: Served;
  readonly lines: readonly string[];
  /** Sentences a round. */
  readonly count: number;
  /** Of a request. */
  readonly batch: number;
}

const ways = ["text", "token ids"] as const;

interface Measured {
  readonly wave: Wave;
  /** Of the caller's own thread, before it could send. */
  readonly callerMs: number;
  /** Of the server's front on the processors; null where the machine does not tell. */
  readonly frontMs: number | null;
}

export async function benchTokens(bench: StagesBench): Promise<void> {
  const { experiment, server } = bench;
  const { report } = experiment;
  const tokenize = await openTokenizer(experiment.modelDir);
  const measured = await inTurns(ways, experiment.rounds, async (way): Promise<Measured> => {
    const texts = takeLines(bench.lines, 0, bench.count);
    const startedAtMs = performance.now();
    const ids = way === "text" ? null : texts.map(tokenize);
    const callerMs = performance.now() - startedAtMs;
    const before = processTimeMs(server.pid);
    const wave = await server.ask(batchesOf(bench, ids));
    const after = processTimeMs(server.pid);
    return { wave, callerMs, frontMs: before === null || after === null ? null : after - before };
  });
  const each = ({ wave }: Measured, ms: number): number => ms / wave.sentences;
  const prepareMs = ({ wave }: Measured): number =>
    sumOf(wave.answered.map(({ timings }) => timings.prepareMs));
  report.table({
    title: `${server.variant.name}: ${bench.count} sentences in requests of ${bench.batch}, as text or as token ids; ms a sentence`,
    columns: [
      "sent as",
      "until the last result",
      "front, of a core",
      "preparing, with its line",
      "caller, before it sends",
    ],
    rows: ways.map((way) => {
      const rounds = measured.get(way) ?? [];
      const fronts = rounds.flatMap((one) =>
        one.frontMs === null ? [] : [each(one, one.frontMs)],
      );
      return [
        way,
        rounds.map((one) => each(one, one.wave.totalMs)),
        fronts.length === 0 ? "not told" : fronts,
        rounds.map((one) => each(one, prepareMs(one))),
        way === "text" ? "" : rounds.map((one) => each(one, one.callerMs)),
      ];
    }),
  });
  report.say("");
  const totals = (way: (typeof ways)[number]): readonly number[] =>
    (measured.get(way) ?? []).map(({ wave }) => wave.totalMs);
  report.add(
    `${server.variant.name}: token ids / text, until the last result`,
    ratios(totals("token ids"), totals("text")),
  );
}

async function openTokenizer(modelDir: string): Promise<(text: string) => readonly number[]> {
  const { files } = await readGeneration(modelDir);
  const json = JSON.parse(readFileSync(join(modelDir, files.tokenizer), "utf8")) as object;
  const tokenizer = createTokenizer(json, { clean_up_tokenization_spaces: false });
  return (text) => tokenizer.encode(text).ids;
}

export function batchesOf(
  { experiment, lines, count, batch }: StagesBench,
  tokenIds: readonly (readonly number[])[] | null,
): readonly Call[] {
  const fields = { ...experiment.fields, class: "bulk" as const };
  return Array.from({ length: Math.ceil(count / batch) }, (_, at): Call => {
    const from = at * batch;
    const size = Math.min(batch, count - from);
    const texts = takeLines(lines, from, size);
    const call = { dueMs: 0, texts, fields };
    return tokenIds === null ? call : { ...call, tokenIds: tokenIds.slice(from, from + size) };
  });
}
