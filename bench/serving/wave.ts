/** Calls of an experiment that belong together: they arrive when they are due, and the wave ends with the last answer. */
import type {
  RequestTimings,
  TranslateResponse,
  TranslateResult,
  WorkClass,
} from "millrace-client/wire";
import { spread } from "../harness/machine.js";
import { openLoop } from "../harness/open-loop.js";
import type { OutputBook } from "../harness/output-book.js";
import type { Report } from "../harness/report.js";

export interface Call {
  /** After the wave's start. */
  readonly dueMs: number;
  readonly texts: readonly string[];
  /** Instead of the texts; the texts are what the outputs are filed under. */
  readonly tokenIds?: readonly (readonly number[])[];
  readonly fields: CallFields;
}

/** What a request says beside its inputs. */
export interface CallFields {
  readonly beams: number;
  readonly maxLength?: number;
  /** Else by its size. */
  readonly class?: WorkClass;
  /** An item is a line: the seeds' experiments count lines. */
  readonly split: false;
}

export interface Answered {
  /** From when it was due. */
  readonly ms: number;
  /** From the wave's start. */
  readonly endMs: number;
  readonly outputTokens: number;
  readonly timings: RequestTimings;
}

export interface Wave {
  /** In the order of the calls. */
  readonly answered: readonly Answered[];
  /** From the first arrival that was due to the last answer. */
  readonly totalMs: number;
  readonly sentences: number;
  readonly outputTokens: number;
  /** By which the generator was late at most. */
  readonly lateMs: number;
  /** What the generator took of the processors. */
  readonly generatorMs: number;
}

interface WaveSpec {
  readonly url: string;
  /** Of the server, where outputs differ. */
  readonly name: string;
  readonly calls: readonly Call[];
  readonly outputs: OutputBook;
}

export async function runWave({ url, name, calls, outputs }: WaveSpec): Promise<Wave> {
  const inOrder = [...calls].sort((left, right) => left.dueMs - right.dueMs);
  const loop = await openLoop({
    url,
    path: "/v1/translate",
    arrivals: inOrder.map(({ dueMs, texts, tokenIds, fields }) => ({
      dueMs,
      body: JSON.stringify({ ...fields, ...(tokenIds === undefined ? { texts } : { tokenIds }) }),
    })),
    connections: calls.length,
    replies: true,
  });
  const answers = new Map<Call, Answered>();
  for (const [at, call] of inOrder.entries()) {
    const { ms = 0, reply = null } = loop.answers[at] ?? {};
    const { results, timings } = JSON.parse(reply ?? "{}") as TranslateResponse;
    const good = results.filter((result): result is TranslateResult => "text" in result);
    outputs.add(
      name,
      call.texts,
      good.map(({ text }) => text),
    );
    const outputTokens = sumOf(good.map((result) => result.outputTokens));
    answers.set(call, { ms, endMs: call.dueMs + ms, outputTokens, timings });
  }
  const answered = calls.flatMap((call) => answers.get(call) ?? []);
  return {
    answered,
    totalMs: Math.max(...answered.map(({ endMs }) => endMs)) - (inOrder[0]?.dueMs ?? 0),
    sentences: sumOf(calls.map(({ texts }) => texts.length)),
    outputTokens: sumOf(answered.map((each) => each.outputTokens)),
    lateMs: Math.max(...loop.answers.map(({ lateMs }) => lateMs)),
    generatorMs: loop.cpuMs,
  };
}

export function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}

/** Whether the load generator was in the way. */
export function tellGenerator(report: Report, waves: readonly Wave[]): void {
  const lateMs = Math.max(...waves.map((wave) => wave.lateMs));
  const { median } = spread(waves.map(({ generatorMs, sentences }) => generatorMs / sentences));
  report.say(
    `\nthe generator: late by ${lateMs.toFixed(1)} ms at most, ${median.toFixed(2)} ms of a core for each sentence`,
  );
}
