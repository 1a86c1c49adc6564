/** Child of benchmarks: `callers` callers, each sending one sentence and waiting; prints what came of it as JSON. */
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";

const [url = "", file = "", ...numbers] = process.argv.slice(2);
const [seconds = 1, callers = 1] = numbers.map(Number);
const sentences = readFileSync(file, "utf8")
  .split("\n")
  .filter((line) => line.trim().length > 0);
const agent = new Agent({ keepAlive: true, maxSockets: callers });
const target = new URL("/v1/translate", url);
const endAtMs = performance.now() + seconds * 1000;
const latencies: number[] = [];
let failed = 0;
let next = 0;

async function send(sentence: string): Promise<boolean> {
  const body = JSON.stringify({ texts: [sentence], beams: 1 });
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  return await new Promise((resolve, reject) => {
    const sent = request(target, { method: "POST", agent, headers }, (response) => {
      text(response).then(
        (reply) => resolve(response.statusCode === 200 && !reply.includes('"error"')),
        reject,
      );
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

async function caller(): Promise<void> {
  while (performance.now() < endAtMs) {
    next += 1;
    const startedAtMs = performance.now();
    const good = await send(sentences[next % sentences.length] ?? "");
    if (good) latencies.push(performance.now() - startedAtMs);
    else failed += 1;
  }
}

const startedAtMs = performance.now();
await Promise.all(Array.from({ length: callers }, caller));
const elapsedMs = performance.now() - startedAtMs;
agent.destroy();
latencies.sort((left, right) => left - right);
const at = (part: number) => latencies[Math.floor((latencies.length - 1) * part)] ?? 0;
const perSecond = (latencies.length / elapsedMs) * 1000;
process.stdout.write(JSON.stringify({ perSecond, p50Ms: at(0.5), p99Ms: at(0.99), failed }));
