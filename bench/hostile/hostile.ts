/** `npm run bench -- hostile`: what strangers can do to a server, and what it costs the others. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { get } from "node:http";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { StatusResponse, TranslateResponse } from "millrace-client/wire";
import { beginReport } from "../harness/begin-report.js";
import { finish } from "../harness/finish.js";
import { amountOf, countOf, usual } from "../harness/flags.js";
import { type Quantiles, quantiles } from "../harness/quantiles.js";
import { type Report, type Target, under } from "../harness/report.js";
import type { AttackReport } from "./attackers.js";
import type { GoodReport } from "./good-caller.js";
import { type HostileServer, startServer } from "./server.js";

const usage = `npm run bench -- hostile [flags]
One server of the bundled model, attacked in turns. Ends with an error where it did what no server may do on any machine.
  corners       every accepted setting at both ends of its range: no worker restarts
  flood         gzip bombs and pages of a million sentences on a small heap, a good caller beside them
  connections   every connection taken by idle ones: is the server still found alive?
  deadlines     how late timeoutMs is kept, in the queue, in prepare and in the engine
  preparation   how long a sentence is prepared behind bulk pages

  --seconds N    of the flood (default: 30)
  --bombers N    who send gzip bombs (default: 300)
  --pagers N     who send pages (default: 6)
  --idle N       connections that say nothing (default: 1100)
  --heap-mib N   of the server, MiB (default: 512)
  --pages N      in front of the sentences whose preparation is timed (default: 300)
  --json FILE    the figures
Example:
  npm run bench -- hostile --seconds 5 --bombers 50`;

export interface HostileOptions {
  readonly seconds: number;
  readonly bombers: number;
  readonly pagers: number;
  readonly idle: number;
  readonly heapMiB: number;
  /** Pages in front of the sentences whose preparation is timed. */
  readonly pages: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const options = {
    seconds: { type: "string", default: "30" },
    bombers: { type: "string", default: "300" },
    pagers: { type: "string", default: "6" },
    idle: { type: "string", default: "1100" },
    "heap-mib": { type: "string", default: "512" },
    pages: { type: "string", default: "300" },
    json: usual.json,
    help: usual.help,
  } as const;
  const { values } = parseArgs({ args: [...args], options });
  if (values.help) return console.log(usage);
  const { report, machine } = beginReport("hostile");
  const settings: HostileOptions = {
    seconds: amountOf("seconds", values.seconds),
    bombers: countOf("bombers", values.bombers, 0),
    pagers: countOf("pagers", values.pagers, 0),
    idle: countOf("idle", values.idle, 0),
    heapMiB: countOf("heap-mib", values["heap-mib"]),
    pages: countOf("pages", values.pages, 0),
  };
  const failures = await hostile(settings, report);
  await finish(report, { machine, facts: { ...settings, failures }, jsonFile: values.json });
  if (failures.length > 0) throw new Error(failures.join("\n"));
}

/** Prints what it saw; returns what must never be seen, on any machine. */
async function hostile(options: HostileOptions, report: Report): Promise<string[]> {
  const failures: string[] = [];
  const expect = (holds: boolean, what: string): void => {
    if (!holds) failures.push(what);
  };
  await using server = await startServer(options.heapMiB);
  const seen = { report, expect };
  await corners(server, seen);
  await flood(server, options, seen);
  await connections(server, options, seen);
  await deadlines(server, seen);
  await preparation(server, options, report);
  // What the callers left behind is given back with the next turns of the loop.
  await until(async () => (await server.status()).process.queuedBytes === 0);
  const status = await server.status();
  expect(restartsOf(status) === 0, `${restartsOf(status)} restarts`);
  expect(server.exit() === null, `the server ended: ${server.exit()}`);
  expect(status.process.queuedBytes === 0, `${status.process.queuedBytes} bytes are still held`);
  report.add("server: restarts", [restartsOf(status)]);
  addPeak(report, "server: peak, resident in all", server);
  return failures;
}

interface Seen {
  readonly report: Report;
  readonly expect: (holds: boolean, what: string) => void;
}

function restartsOf({ pipelines }: StatusResponse): number {
  return pipelines.reduce((sum, { restarts }) => sum + restarts, 0);
}

async function post(url: string, body: object): Promise<TranslateResponse> {
  const reply = await fetch(`${url}/v1/translate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (reply.status !== 200) throw new Error(`status ${reply.status}: ${await reply.text()}`);
  return (await reply.json()) as TranslateResponse;
}

/** Both ends of every range, in every combination that is accepted. */
async function corners(server: HostileServer, { report, expect }: Seen): Promise<void> {
  let [asked, failed] = [0, 0];
  for (const beams of [1, 2, 8]) {
    for (const nBest of new Set([1, beams])) {
      for (const lengthPenalty of [-10, -1, 0, 1, 10]) {
        for (const maxLength of [2, 3, 128]) {
          const settings = { beams, nBest, lengthPenalty, maxLength };
          const { results } = await post(server.url, { texts: ["Good.", "a"], ...settings });
          asked += results.length;
          failed += results.filter((result) => "error" in result).length;
        }
      }
    }
  }
  const restarts = restartsOf(await server.status());
  report.add("corners: inputs", [asked]);
  report.add("corners: failed", [failed]);
  report.add("corners: restarts", [restarts]);
  expect(failed === 0, `${failed} inputs with accepted settings failed`);
}

async function flood(
  server: HostileServer,
  { seconds, bombers, pagers }: HostileOptions,
  { report, expect }: Seen,
): Promise<void> {
  const alone = await withGoodCaller(server, () => sleepSeconds(seconds / 2));
  const attack = async (): Promise<readonly AttackReport[]> => {
    const script = fileURLToPath(new URL("./attackers.js", import.meta.url));
    const numbers = [seconds, bombers, pagers].map(String);
    const child = fork(script, [server.url, ...numbers]);
    const [reports] = (await once(child, "message")) as [readonly AttackReport[]];
    return reports;
  };
  const beside = await withGoodCaller(server, attack);
  const ratio = beside.good.latency.p99Ms / alone.good.latency.p99Ms;
  addTimes(report, "flood: good caller alone", alone.good.latency);
  addTimes(report, "flood: good caller beside", beside.good.latency);
  report.add("flood: p99 beside ÷ alone", [ratio], { target: under(3) });
  for (const [path, { answered, failures, latency }] of Object.entries(beside.good.probes)) {
    report.add(`flood: ${path} answered`, [answered]);
    report.add(`flood: ${path} failed`, [failures.length]);
    addTimes(report, `flood: ${path}`, latency);
    expect(failures.length === 0, `${path} failed in the flood: ${failures.join("; ")}`);
  }
  for (const { who, sent, answers, refusedAfter } of beside.result) {
    const list = Object.entries(answers).map(([answer, count]) => `${answer} × ${count}`);
    report.say(`flood: ${who}: ${list.join(", ")}`);
    report.add(`flood: ${who}, sent`, [sent]);
    addTimes(report, `flood: ${who}, refused after`, refusedAfter);
  }
  addPeak(report, "flood: front's peak", server);
  expect(beside.good.failures.length === 0, `the good caller: ${beside.good.failures.join("; ")}`);
  expect(server.exit() === null, `the server ended in the flood: ${server.exit()}`);
}

/** Runs the action while a good caller works, in a process of its own. */
async function withGoodCaller<Result>(
  { url }: HostileServer,
  action: () => Promise<Result>,
): Promise<{ readonly good: GoodReport; readonly result: Result }> {
  const child = fork(fileURLToPath(new URL("./good-caller.js", import.meta.url)), [url]);
  await once(child, "message");
  const result = await action();
  child.send("end");
  const [good] = (await once(child, "message")) as [GoodReport];
  return { good, result };
}

/** Idle connections until no more are let in; then asks on new ones. */
async function connections(
  server: HostileServer,
  { idle }: HostileOptions,
  { report, expect }: Seen,
): Promise<void> {
  const { hostname, port } = new URL(server.url);
  const sockets: Socket[] = [];
  for (let count = 0; count < idle; count += 1) {
    const socket = connect(Number(port), hostname);
    socket.on("error", () => {});
    await Promise.race([once(socket, "connect"), once(socket, "close")]);
    // A keep-alive connection like a load balancer's: it asked once and says no more.
    socket.write("GET /live HTTP/1.1\r\nhost: x\r\n\r\n");
    sockets.push(socket);
  }
  await sleepSeconds(0.5);
  const taken = (await server.status()).process.connections;
  const latencies: number[] = [];
  let failed = 0;
  for (let count = 0; count < 100; count += 1) {
    for (const path of ["/live", "/ready"]) {
      const startedAtMs = performance.now();
      const status = await probe(new URL(path, server.url));
      if (status === 200) latencies.push(performance.now() - startedAtMs);
      else failed += 1;
    }
  }
  for (const socket of sockets) socket.destroy();
  report.add("connections: open", [taken]);
  report.add("connections: /live and /ready answered", [latencies.length]);
  report.add("connections: /live and /ready failed", [failed]);
  addTimes(report, "connections: /live and /ready", quantiles(latencies));
  expect(failed === 0, `${failed} probes failed while every connection was taken`);
}

async function probe(url: URL): Promise<number> {
  return await new Promise((resolve) => {
    get(url, { agent: false }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    }).on("error", () => resolve(0));
  });
}

/** Bulk in front of it, so that the time is spent waiting; and texts so large that preparing them takes longer. */
async function deadlines(server: HostileServer, { report, expect }: Seen): Promise<void> {
  const late: number[] = [];
  /** The same by the server's own clock: from the request's last byte to its last outcome. */
  const lateInside: number[] = [];
  const page = "The boats are in the harbour and nobody is on board. ".repeat(300);
  const background = new AbortController();
  const bulk = fetch(`${server.url}/v1/translate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ texts: Array.from({ length: 20 }, () => page), class: "bulk" }),
    signal: background.signal,
  }).catch(() => null);
  // Our own sending of it is no delay of the server's.
  await until(async () => (await server.status()).process.queuedBytes > 0);
  for (const texts of [["One."], [page], Array.from({ length: 100 }, () => page)]) {
    for (const timeoutMs of [1, 10, 100, 500, 1000]) {
      for (const workClass of ["realtime", "bulk"]) {
        const startedAtMs = performance.now();
        const { results, timings } = await post(server.url, { texts, timeoutMs, class: workClass });
        const ms = performance.now() - startedAtMs;
        const missed = results.some((result) => "error" in result);
        if (missed) {
          late.push(ms - timeoutMs);
          lateInside.push(timings.totalMs - timeoutMs);
        } else expect(ms < timeoutMs + 1_000, `answered after ${ms} ms of ${timeoutMs}`);
      }
    }
  }
  background.abort();
  await bulk;
  report.add("deadlines: missed", [late.length]);
  addTimes(report, "deadlines: told late by", { ...quantiles(late), target: under(50) });
  addTimes(report, "deadlines: by the server's clock", quantiles(lateInside));
}

/** 300 pages at once as bulk; the time that sentences beside them are prepared in. */
async function preparation(
  server: HostileServer,
  { pages }: HostileOptions,
  report: Report,
): Promise<void> {
  const alone = await preparedIn(server, 50);
  const page = "The boats are in the harbour and nobody is on board. ".repeat(300);
  const leaving = new AbortController();
  const bulk = Array.from({ length: pages }, () =>
    fetch(`${server.url}/v1/translate`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ texts: [page], class: "bulk" }),
      signal: leaving.signal,
    })
      .then((reply) => reply.status)
      .catch(() => 0),
  );
  const beside = await preparedIn(server, 50);
  leaving.abort();
  await Promise.all(bulk);
  addTimes(report, "preparation: alone", alone);
  addTimes(report, `preparation: behind ${pages} bulk pages`, beside);
  const more = beside.p99Ms - alone.p99Ms;
  report.add("preparation: more at p99", [more], { unit: "ms", target: under(10) });
}

async function preparedIn({ url }: HostileServer, count: number): Promise<Quantiles> {
  const prepared: number[] = [];
  for (let at = 0; at < count; at += 1) {
    const { timings } = await post(url, { texts: [`Boat ${at}.`], class: "realtime", beams: 1 });
    prepared.push(timings.prepareMs);
  }
  return quantiles(prepared);
}

/** Where the system tells it. */
function addPeak(report: Report, title: string, server: HostileServer): void {
  const peakMiB = server.peakMiB();
  if (peakMiB !== null) report.add(title, [peakMiB], { unit: "MiB" });
}

/** `target`: of the largest. */
function addTimes(
  report: Report,
  title: string,
  { p50Ms, p99Ms, maxMs, target = null }: Quantiles & { readonly target?: Target | null },
): void {
  report.add(`${title}: p50`, [p50Ms], { unit: "ms" });
  report.add(`${title}: p99`, [p99Ms], { unit: "ms" });
  report.add(`${title}: most`, [maxMs], { unit: "ms", target });
}

/** For at most five seconds: what does not come true is seen by what follows. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 50 && !(await holds()); tries += 1) await sleepSeconds(0.1);
}

async function sleepSeconds(seconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
