/** What it costs a server that so many pages look on: its own processor time, with readers of `/status/events` and without. */

import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { percent } from "#src/doctor/words.js";
import { beginReport } from "./harness/begin-report.js";
import { amountOf, countOf } from "./harness/flags.js";
import { processTimeMs } from "./harness/process-time.js";
import { ServerTree } from "./server-tree.js";

const usage = `npm run bench -- page [flags]

  what ten open pages cost: the server's own time, as shares of a core

  --readers N    pages that look on (default: 10)
  --seconds S    of each measurement (default: 20)`;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      readers: { type: "string", default: "10" },
      seconds: { type: "string", default: "20" },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) return console.log(usage);
  const readers = countOf("readers", values.readers);
  const seconds = amountOf("seconds", values.seconds);
  const { report } = beginReport("page");
  const flags = { models: "models", port: 0, pipelines: 1, threads: 1, trial: "off", log: "json" };
  await using server = await ServerTree.start({ name: "server", script: "real", flags });
  const url = await server.ready();
  const gone = new AbortController();
  const pages = Array.from({ length: readers }, () => new Reader(url, gone.signal));
  await Promise.all(pages.map((page) => page.begun));
  const looksBefore = pages.map(({ looks }) => looks);
  const shared = await shareOf(server.pid, seconds);
  const looks = pages.map((page, at) => page.looks - (looksBefore[at] ?? 0));
  gone.abort();
  await Promise.all(pages.map((page) => page.ended));
  // Behind them: what the start leaves to do is never told as the readers' being free.
  const without = await shareOf(server.pid, seconds);
  report.say(`without readers: ${percent(without)} of a core`);
  report.say(`with ${readers} readers: ${percent(shared)} of a core`);
  report.say(`the readers: ${percent(shared - without)} of a core`);
  report.say(`each saw ${Math.min(...looks)} to ${Math.max(...looks)} looks in ${seconds} s`);
}

/** Of a core, that the process took meanwhile. */
async function shareOf(pid: number, seconds: number): Promise<number> {
  const from = processTimeMs(pid);
  const startedMs = performance.now();
  await delay(seconds * 1_000);
  const to = processTimeMs(pid);
  if (from === null || to === null)
    throw new Error("this machine does not tell what a process takes");
  return (to - from) / (performance.now() - startedMs);
}

class Reader {
  looks = 0;
  /** Resolves with the first look. */
  readonly begun: Promise<void>;
  readonly ended: Promise<void>;

  constructor(url: string, signal: AbortSignal) {
    let onLook: () => void = () => {};
    let onFailure: (error: unknown) => void = () => {};
    this.begun = new Promise((resolve, reject) => {
      onLook = resolve;
      onFailure = reject;
    });
    this.ended = this.#read(url, signal, onLook).catch((error: unknown) => {
      if (!signal.aborted) onFailure(error);
    });
  }

  async #read(url: string, signal: AbortSignal, onLook: () => void): Promise<void> {
    const reply = await fetch(`${url}/status/events`, { signal });
    if (!reply.ok || reply.body === null) throw new Error(`the stream: ${reply.status}`);
    const decoder = new TextDecoder();
    for await (const bytes of reply.body) {
      const text = decoder.decode(bytes, { stream: true });
      if (!text.includes("event: status")) continue;
      this.looks += 1;
      onLook();
    }
    throw new Error("the stream ended");
  }
}
