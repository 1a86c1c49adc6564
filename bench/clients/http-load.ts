/**
 * A child of the benchmark: callers over HTTP, each sending its next body when its last one is answered, and beside them somebody
 * who looks at the health check. Takes a `LoadSpec` as its only argument, prints a `Load`.
 */
import { readFileSync } from "node:fs";
import { Agent, type IncomingMessage, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { quantiles } from "../harness/quantiles.js";
import type { Load, LoadSpec } from "./load.js";

const spec = JSON.parse(process.argv[2] ?? "{}") as LoadSpec;
const bodies = readFileSync(spec.bodiesFile, "utf8")
  .split("\n")
  .filter((line) => line !== "");
const agent = new Agent({ keepAlive: true, maxSockets: spec.callers });
const url = new URL(spec.path, spec.url);
const latencies: number[] = [];
const healths: number[] = [];
let failed = 0;
let next = 0;

await run(Math.min(spec.warmMs, spec.ms));
latencies.length = healths.length = failed = 0;
const elapsedMs = await run(spec.ms);
agent.destroy();
const health = { count: healths.length, ...quantiles(healths) };
const perSecond = (1_000 * latencies.length * spec.itemsOfBody) / elapsedMs;
process.stdout.write(
  JSON.stringify({ perSecond, ...quantiles(latencies), failed, health } satisfies Load),
);

async function run(ms: number): Promise<number> {
  const startedAtMs = performance.now();
  const endAtMs = startedAtMs + ms;
  const stop = new AbortController();
  const watched = spec.healthPath === null ? null : watch(spec.healthPath, stop.signal);
  await Promise.all(Array.from({ length: spec.callers }, () => call(endAtMs)));
  const elapsedMs = performance.now() - startedAtMs;
  stop.abort();
  await watched;
  return elapsedMs;
}

async function call(endAtMs: number): Promise<void> {
  while (performance.now() < endAtMs) {
    const body = bodies[next++ % bodies.length] ?? "";
    const startedAtMs = performance.now();
    if (await post(body)) latencies.push(performance.now() - startedAtMs);
    else failed += 1;
  }
}

async function post(body: string): Promise<boolean> {
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  return await new Promise((resolve, reject) => {
    const sent = request(url, { method: "POST", agent, headers }, (response) => {
      read(response).then(
        (text) => resolve(response.statusCode === 200 && !text.includes('"error"')),
        reject,
      );
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** As a probe does it: a connection of its own each time, twenty times a second where it is answered at once. */
async function watch(path: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const startedAtMs = performance.now();
    await new Promise<void>((resolve, reject) => {
      const sent = request(new URL(path, spec.url), { agent: false }, (response) => {
        read(response).then(() => resolve(), reject);
      });
      sent.on("error", reject);
      sent.end();
    });
    healths.push(performance.now() - startedAtMs);
    await delay(50);
  }
}

async function read(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("latin1");
}
