/**
 * Child of the hostile benchmark: a caller who sends one sentence after the other and wants nothing but its translation,
 * and an orchestrator that asks whether the server lives, each time on a new connection.
 */
import { once } from "node:events";
import { Agent, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { post } from "../harness/post.js";
import { type Quantiles, quantiles } from "../harness/quantiles.js";

export interface GoodReport {
  readonly done: number;
  /** Of replies that were none. */
  readonly failures: readonly string[];
  readonly latency: Quantiles;
  readonly probes: Readonly<Record<string, ProbeReport>>;
}

export interface ProbeReport {
  readonly answered: number;
  readonly failures: readonly string[];
  readonly latency: Quantiles;
}

const [url = "", perSecond = "20"] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
let over = false;

async function translate(sentence: string): Promise<void> {
  const body = JSON.stringify({ texts: [sentence], beams: 1 });
  const { status, reply } = await post(agent, new URL("/v1/translate", url), body);
  if (status !== 200) throw new Error(`${status} ${reply.slice(0, 120)}`);
}

async function call(latencies: number[], failures: string[]): Promise<void> {
  let count = 0;
  while (!over) {
    const startedAtMs = performance.now();
    count += 1;
    try {
      await translate(`The ${count % 97} boats are in the harbour.`);
      latencies.push(performance.now() - startedAtMs);
    } catch (error) {
      failures.push(String(error));
      await sleep(5);
    }
    await sleep(5);
  }
}

async function probe(path: string): Promise<ProbeReport> {
  const latencies: number[] = [];
  const failures: string[] = [];
  while (!over) {
    const startedAtMs = performance.now();
    await new Promise<void>((resolve) => {
      const ended = (problem: string | null): void => {
        if (problem === null) latencies.push(performance.now() - startedAtMs);
        else failures.push(problem);
        resolve();
      };
      get(new URL(path, url), { agent: false }, (response) => {
        response.resume().on("end", () => {
          ended(response.statusCode === 200 ? null : `status ${response.statusCode}`);
        });
      }).on("error", (error) => ended(String(error)));
    });
    await sleep(1000 / Number(perSecond));
  }
  return {
    answered: latencies.length,
    failures: failures.slice(0, 5),
    latency: quantiles(latencies),
  };
}

const latencies: number[] = [];
const failures: string[] = [];
const paths = ["/live", "/ready"];
const work = Promise.all([call(latencies, failures), ...paths.map(probe)]);
process.send?.("started");
await once(process, "message");
over = true;
const [, ...probes] = await work;
agent.destroy();
const report: GoodReport = {
  done: latencies.length,
  failures: failures.slice(0, 5),
  latency: quantiles(latencies),
  probes: Object.fromEntries(paths.map((path, index) => [path, probes[index] as ProbeReport])),
};
process.send?.(report);
process.disconnect();
