/**
 * A turn over HTTP: closed callers in this process, whose own work is part of what is measured, as anybody's would be. Texts are not
 * split: what is a sentence to one side is one to the other.
 */
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
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
  const agent = new Agent({ keepAlive: true, maxSockets: callers });
  const target = new URL("/v1/translate", url);
  const replies: string[] = [];
  const endsMs: number[] = [];
  let next = 0;
  const call = async (): Promise<void> => {
    for (let at = next++; at < sent.length; at = next++) {
      replies[at] = await post(target, agent, sent[at] ?? "");
      endsMs[at] = performance.now() - startedAtMs;
    }
  };
  const startedAtMs = performance.now();
  await Promise.all(Array.from({ length: callers }, call));
  const seconds = (performance.now() - startedAtMs) / 1_000;
  agent.destroy();
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

async function post(target: URL, agent: Agent, body: string): Promise<string> {
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  return await new Promise((resolve, reject) => {
    const sent = request(target, { method: "POST", agent, headers }, (response) => {
      text(response).then((reply) => {
        if (response.statusCode === 200) resolve(reply);
        else reject(new Error(`HTTP ${response.statusCode}: ${reply.slice(0, 300)}`));
      }, reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
