/**
 * A turn over HTTP: closed callers in this process, whose own work is part of what is measured, as anybody's would be. They are as lean as
 * callers can be, since the other side is asked in its own process and has none. Texts are not split: what is a sentence to one side is
 * one to the other.
 */
import { KeepAliveCaller } from "../harness/keep-alive-caller.js";
import type { Turn, TurnResult } from "./turn.js";

interface Reply {
  readonly results: readonly { readonly text?: string; readonly outputTokens?: number }[];
}

export interface HttpBodies {
  readonly texts: readonly string[];
  /** Each sends its next request when it has its last one's answer. */
  readonly callers: number;
  /** Texts of a request. */
  readonly each: number;
}

export interface HttpResult extends TurnResult {
  /** Of each request, from the beginning of the turn until its answer. */
  readonly endsMs: readonly number[];
}

export async function askHttp(
  url: string,
  { beams, count }: Turn,
  { texts, callers, each: size }: HttpBodies,
): Promise<HttpResult> {
  const bodies = Array.from({ length: Math.ceil(count / size) }, (_, at) =>
    texts.slice(at * size, Math.min((at + 1) * size, count)),
  );
  const sent = bodies.map((each) => JSON.stringify({ texts: each, beams, split: false }));
  const target = new URL("/v1/translate", url);
  const opened = await openCallers(target, callers);
  const replies: string[] = [];
  const endsMs: number[] = [];
  let next = 0;
  const call = async (caller: KeepAliveCaller): Promise<void> => {
    for (let at = next++; at < sent.length; at = next++) {
      replies[at] = await ask(caller, sent[at] ?? "");
      endsMs[at] = performance.now() - startedAtMs;
    }
  };
  const startedAtMs = performance.now();
  try {
    await Promise.all(opened.map(call));
  } finally {
    closeCallers(opened);
  }
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const results = replies.flatMap((reply) => (JSON.parse(reply) as Reply).results);
  return {
    endsMs,
    seconds,
    sentences: results.length,
    tokens: results.reduce((sum, { outputTokens = 0 }) => sum + outputTokens, 0),
    outputs: results.map((result) => result.text ?? JSON.stringify(result)),
    steps: null,
  };
}

/** All of them, or none. */
async function openCallers(target: URL, count: number): Promise<readonly KeepAliveCaller[]> {
  const tries = Array.from({ length: count }, () => KeepAliveCaller.open(target));
  try {
    return await Promise.all(tries);
  } catch (error) {
    const settled = await Promise.allSettled(tries);
    closeCallers(settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : [])));
    throw error;
  }
}

function closeCallers(callers: readonly KeepAliveCaller[]): void {
  for (const caller of callers) caller[Symbol.dispose]();
}

async function ask(caller: KeepAliveCaller, body: string): Promise<string> {
  const { status, reply } = await caller.post(body);
  if (status !== 200) throw new Error(`HTTP ${status}: ${reply.slice(0, 300)}`);
  return reply;
}
