/** Those who ask: an open loop in a process of its own, single requests one after the other, and bulk through the client. */
import { createHash } from "node:crypto";
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { Millrace } from "millrace-client";
import type { TranslateResponse } from "millrace-client/wire";
import { startChild } from "../clients/child.js";

export interface OpenLoopSpec {
  readonly url: string;
  readonly perSecond: number;
  readonly ms: number;
  readonly seed: number;
}

export interface OpenLoop {
  readonly sent: number;
  /** What was said, and how often. */
  readonly failures: Readonly<Record<string, number>>;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export async function openLoop(spec: OpenLoopSpec): Promise<OpenLoop> {
  const script = fileURLToPath(new URL("./open-loop.js", import.meta.url));
  const child = startChild(script, [JSON.stringify(spec)]);
  const loop = JSON.parse(await child.output()) as OpenLoop;
  const failed = Object.entries(loop.failures);
  if (failed.length > 0)
    throw new Error(`requests to ${spec.url} failed: ${JSON.stringify(failed)}`);
  return loop;
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
    const headers = {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
    };
    const startedAtMs = performance.now();
    const received = await new Promise<string>((resolve, reject) => {
      const sent = request(
        this.#target,
        { method: "POST", agent: this.#agent, headers },
        (response) => {
          text(response).then(resolve, reject);
        },
      );
      sent.on("error", reject);
      sent.end(body);
    });
    const ms = performance.now() - startedAtMs;
    if (received.includes('"error"'))
      throw new Error(`a request failed: ${received.slice(0, 300)}`);
    return { ms, reply: JSON.parse(received) as TranslateResponse };
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
