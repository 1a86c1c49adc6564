/** Those who ask: realtime requests that come by chance, single requests one after the other, and bulk through the client. */
import { createHash } from "node:crypto";
import { Agent } from "node:http";
import { Millrace } from "millrace-client";
import type { TranslateResponse } from "millrace-client/wire";
import { byChance } from "../harness/arrivals.js";
import { openLoop } from "../harness/open-loop.js";
import { post } from "../harness/post.js";
import { type Quantiles, quantiles } from "../harness/quantiles.js";
import { madeLine } from "../jobs/made-lines.js";

export interface RealtimeSpec {
  readonly url: string;
  readonly perSecond: number;
  readonly ms: number;
  readonly seed: number;
}

/** Requests of one text that come by chance, whether or not those before were answered. */
export async function askRealtime({ url, ...spec }: RealtimeSpec): Promise<Quantiles> {
  const arrivals = byChance(spec).map((dueMs, at) => {
    const texts = [madeLine(spec.seed, at)];
    return { dueMs, body: JSON.stringify({ texts, beams: 1, class: "realtime" }) };
  });
  const path = "/v1/translate";
  const { answers } = await openLoop({ url, path, arrivals, connections: 0, replies: false });
  return quantiles(answers.map(({ ms }) => ms));
}

export interface BulkRun {
  readonly perSecond: number;
  /** Of the texts in their order. */
  readonly hash: string;
  readonly texts: readonly string[];
  /** Items by pipeline. */
  readonly pipelines: Readonly<Record<string, number>>;
}

/** As many requests at once as keep all nodes busy. */
export async function askBulk(
  url: string,
  texts: readonly string[],
  nodes: number,
): Promise<BulkRun> {
  await using client = new Millrace(url);
  const startedAtMs = performance.now();
  const outcomes: string[] = [];
  const each = client.translateEach(texts, {
    beams: 1,
    class: "bulk",
    requestInputsMax: Math.min(500, Math.ceil(texts.length / (8 * nodes))),
    requestsAtOnce: 4 * nodes,
  });
  let step = await each.next();
  for (; step.done !== true; step = await each.next()) {
    if (!("text" in step.value)) throw new Error(`a text failed: ${JSON.stringify(step.value)}`);
    outcomes.push(step.value.text);
  }
  const perSecond = (1_000 * texts.length) / (performance.now() - startedAtMs);
  return { perSecond, hash: hashOf(outcomes), texts: outcomes, pipelines: step.value.pipelines };
}

/** All of it in one request. */
export async function askAtOnce(
  url: string,
  texts: readonly string[],
): Promise<Pick<BulkRun, "perSecond" | "hash">> {
  await using client = new Millrace(url);
  const startedAtMs = performance.now();
  const { results } = await client.translate(texts, { beams: 1, class: "bulk" });
  const perSecond = (1_000 * texts.length) / (performance.now() - startedAtMs);
  const outcomes = results.map((each) => {
    if ("text" in each) return each.text;
    throw new Error(`a text failed: ${JSON.stringify(each)}`);
  });
  return { perSecond, hash: hashOf(outcomes) };
}

function hashOf(outcomes: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify(outcomes)).digest("hex").slice(0, 16);
}

/** One connection, one request at a time. */
export class SingleCaller implements Disposable {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #target: URL;

  constructor(url: string) {
    this.#target = new URL("/v1/translate", url);
  }

  /** Gives the milliseconds that it took, and what came of it. */
  async ask(line: string): Promise<{ readonly ms: number; readonly reply: TranslateResponse }> {
    const body = JSON.stringify({ texts: [line], beams: 1, class: "realtime" });
    const startedAtMs = performance.now();
    const { reply: received } = await post(this.#agent, this.#target, body);
    const ms = performance.now() - startedAtMs;
    if (received.includes('"error"'))
      throw new Error(`a request failed: ${received.slice(0, 300)}`);
    return { ms, reply: JSON.parse(received) as TranslateResponse };
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
