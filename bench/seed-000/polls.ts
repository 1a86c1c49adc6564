/**
 * Child of seed 000's benchmark: polls three paths so many times a second each, whether or not the answers keep up
 * (open loop), until it is told to stop. Latency counts from when a poll was due, so that a stall delays all polls
 * that fell into it and cannot hide in those that were not sent.
 */
import { Agent, get } from "node:http";
import type { StatusResponse } from "millrace-client/wire";
import { atTheirTimes, steadily } from "../harness/arrivals.js";
import { type Quantiles, quantiles } from "../harness/quantiles.js";

export interface PathReport {
  readonly path: string;
  readonly sent: number;
  readonly answered: number;
  /** Answered while the status that was asked for at the same moment showed a model run. */
  readonly answeredDuringRun: number;
  readonly latency: Quantiles;
  /** How late polls were sent: the part of the latency that is this process's own. */
  readonly lateness: Quantiles;
  /** The first few, for people. */
  readonly failures: readonly string[];
}

const paths = ["/status", "/ready", "/metrics"] as const;

class Poller {
  readonly path: string;
  readonly latencies: number[] = [];
  readonly #lateness: number[] = [];
  readonly failures: string[] = [];
  sent = 0;
  answeredDuringRun = 0;
  readonly #url: URL;
  // A poll that is due gets a connection at once: none waits for another's answer, until all paths together have nearly as many
  // open as a server takes (1024). What waits then was due all the same.
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 300 });

  constructor(base: string, path: string) {
    this.path = path;
    this.#url = new URL(path, base);
  }

  /** The body; null where it failed. */
  async poll(dueAtMs: number): Promise<string | null> {
    this.sent += 1;
    this.#lateness.push(performance.now() - dueAtMs);
    try {
      const body = await new Promise<string>((resolve, reject) => {
        get(this.#url, { agent: this.#agent }, (response) => {
          let read = "";
          response.setEncoding("utf8").on("data", (text: string) => {
            read += text;
          });
          response.on("error", reject).on("end", () => {
            if (response.statusCode === 200) resolve(read);
            else reject(new Error(`status ${response.statusCode}: ${read.slice(0, 200)}`));
          });
        }).on("error", reject);
      });
      this.latencies.push(performance.now() - dueAtMs);
      return body;
    } catch (error) {
      if (this.failures.length < 5) this.failures.push(String(error));
      return null;
    }
  }

  report(): PathReport {
    const { path, sent, latencies, answeredDuringRun, failures } = this;
    const [latency, lateness] = [quantiles(latencies), quantiles(this.#lateness)];
    const answered = latencies.length;
    return { path, sent, answered, answeredDuringRun, latency, lateness, failures };
  }

  close(): void {
    this.#agent.destroy();
  }
}

const [url = "", perSecond = ""] = process.argv.slice(2);
const pollers = paths.map((path) => new Poller(url, path));
const stop = new AbortController();
process.once("message", () => stop.abort());

async function round(dueAtMs: number): Promise<void> {
  const bodies = await Promise.all(pollers.map((poller) => poller.poll(dueAtMs)));
  const [status] = bodies;
  if (typeof status !== "string") return;
  const { pipelines } = JSON.parse(status) as StatusResponse;
  if (pipelines.every(({ doing }) => doing === null)) return;
  for (const [index, poller] of pollers.entries()) {
    if (bodies[index] !== null) poller.answeredDuringRun += 1;
  }
}

await atTheirTimes(steadily(Number(perSecond), stop.signal), (_, dueAtMs) => round(dueAtMs));
process.send?.(pollers.map((poller) => poller.report()));
for (const poller of pollers) poller.close();
process.disconnect();
