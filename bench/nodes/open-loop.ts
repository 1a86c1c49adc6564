/**
 * A child of the benchmark: realtime requests of one text that arrive by chance, whether or not those before were answered, and how long
 * each took from the moment when it was due. Takes an `OpenLoopSpec` as its only argument, prints an `OpenLoop`.
 */
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { Random } from "../../test/sim/random.js";
import { madeLine } from "../jobs/made-lines.js";
import { quantiles } from "../quantiles.js";
import type { OpenLoop, OpenLoopSpec } from "./callers.js";

const { url, perSecond, ms, seed } = JSON.parse(process.argv[2] ?? "{}") as OpenLoopSpec;
const agent = new Agent({ keepAlive: true });
const target = new URL("/v1/translate", url);
const random = new Random(seed);
const latencies: number[] = [];
const failures = new Map<string, number>();

const startedAtMs = performance.now();
const underWay: Promise<void>[] = [];
let dueAtMs = startedAtMs;
for (let sent = 0; ; sent += 1) {
  dueAtMs += random.gap(1_000 / perSecond);
  if (dueAtMs > startedAtMs + ms) break;
  await delay(Math.max(0, dueAtMs - performance.now()));
  underWay.push(send(madeLine(seed, sent), dueAtMs));
}
await Promise.all(underWay);
agent.destroy();
const report: OpenLoop = {
  sent: underWay.length,
  failures: Object.fromEntries(failures),
  ...quantiles(latencies),
};
process.stdout.write(JSON.stringify(report));

async function send(line: string, dueMs: number): Promise<void> {
  const said = await post(JSON.stringify({ texts: [line], beams: 1, class: "realtime" })).catch(
    String,
  );
  if (said === "") latencies.push(performance.now() - dueMs);
  else failures.set(said, (failures.get(said) ?? 0) + 1);
}

/** Empty: it was answered well. */
async function post(body: string): Promise<string> {
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  return await new Promise((resolve, reject) => {
    const sent = request(target, { method: "POST", agent, headers }, (response) => {
      text(response).then((reply) => {
        const isGood = response.statusCode === 200 && !reply.includes('"error"');
        resolve(isGood ? "" : `${response.statusCode}: ${reply.slice(0, 200)}`);
      }, reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
