/** The demo's callers: people who send a sentence or three and think in between, and a robot with a file. */
import { setTimeout as sleep } from "node:timers/promises";
import { Millrace, type Translation } from "millrace-client";

export interface Caller {
  readonly name: string;
  readonly class: "realtime" | "bulk";
  readonly sentences: readonly string[];
  /** How many go in one request. */
  readonly perRequest: number;
  /** From an answer to the next question. */
  readonly pauseMs: number;
}

export interface Answer {
  readonly source: string;
  readonly translation: string;
  /** From sending the request to its last byte. */
  readonly ms: number;
}

export interface CallerReport {
  readonly caller: Caller;
  readonly answers: readonly Answer[];
  readonly requestMs: readonly number[];
  readonly allMs: number;
}

export interface CallOptions {
  readonly url: string;
  readonly signal: AbortSignal;
  readonly onDone: (sentences: number) => void;
}

/** What every caller asks for, whatever the model's own is, so that two demos can be compared. */
export const beams = 4;

/** Sends everything that the caller has, one request after the other, like somebody who reads each answer. */
export async function call(caller: Caller, options: CallOptions): Promise<CallerReport> {
  const { url, signal, onDone } = options;
  // Each caller is a program of its own, so nothing is joined on this side: the packing is the server's.
  await using client = new Millrace(url, { sharing: false, tenant: caller.name.toLowerCase() });
  const answers: Answer[] = [];
  const requestMs: number[] = [];
  const startedMs = performance.now();
  for (let from = 0; from < caller.sentences.length; from += caller.perRequest) {
    if (from > 0) await sleep(caller.pauseMs, undefined, { signal });
    const sentences = caller.sentences.slice(from, from + caller.perRequest);
    const sentMs = performance.now();
    const { results } = await client.translate(sentences, {
      class: caller.class,
      beams,
      signal,
      onProgress: () => onDone(1),
    });
    const ms = performance.now() - sentMs;
    requestMs.push(ms);
    for (const [at, result] of results.entries()) {
      answers.push({ source: sentences[at] ?? "", translation: textOf(result), ms });
    }
  }
  return { caller, answers, requestMs, allMs: performance.now() - startedMs };
}

function textOf(result: Translation["results"][number]): string {
  return "text" in result ? result.text : `(${result.error.code}: ${result.error.message})`;
}
