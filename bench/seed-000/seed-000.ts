/**
 * Seed 000: a service with one worker stood still after a minute, because its status was polled. Here: one pipeline,
 * one caller in a tight loop, a bulk caller behind it, and status, readiness and metrics polled 200 times a second
 * each. Every job must be done and right, and polls must be answered while the model runs.
 */
import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent } from "node:http";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { StatusResponse, TranslateResponse, WorkClass } from "millrace-client/wire";
import { beginReport } from "../harness/begin-report.js";
import { finish } from "../harness/finish.js";
import { amountOf, usual } from "../harness/flags.js";
import { post } from "../harness/post.js";
import { type Quantiles, quantiles } from "../harness/quantiles.js";
import type { PathReport } from "./polls.js";

const root = new URL("../../../", import.meta.url);
const bulkItems = 100;
const pollsPerSecond = 200;

export interface CallerReport {
  readonly class: WorkClass;
  readonly sent: number;
  readonly done: number;
  /** Items that are not what the sentence gives alone. */
  readonly wrong: number;
  readonly latency: Quantiles;
}

export interface Seed000Report {
  readonly seconds: number;
  /** Jobs that were sent before the others, to know what each sentence gives alone. */
  readonly aloneJobs: number;
  readonly callers: readonly CallerReport[];
  readonly polls: readonly PathReport[];
  /** At the end, when all is answered. */
  readonly status: StatusResponse;
}

const usage = `npm run bench -- seed-000 [flags]
One pipeline, one caller in a tight loop, a bulk caller of ${bulkItems} sentences behind it, and status, readiness and metrics polled ${pollsPerSecond} times a second each.
Ends with an error where a job is not done and right, or a poll is not answered.
  --seconds N   (default: 600)
  --json FILE   the figures
Example:
  npm run bench -- seed-000 --seconds 20`;

export async function run(args: readonly string[]): Promise<void> {
  const { json, help } = usual;
  const options = { seconds: { type: "string", default: "600" }, json, help } as const;
  const { values } = parseArgs({ args: [...args], options });
  if (values.help) return console.log(usage);
  const seconds = amountOf("seconds", values.seconds);
  const { report, machine } = beginReport("seed-000");
  report.say(`${seconds} s`);
  const seen = await seed000({ seconds });
  report.say(describe(seen));
  const failures = failuresOf(seen);
  if (failures.length > 0) throw new Error(failures.join("\n"));
  await finish(report, { machine, facts: { ...seen }, jsonFile: values.json });
}

export async function seed000({
  seconds,
  sentencesMax = Infinity,
}: {
  readonly seconds: number;
  readonly sentencesMax?: number;
}): Promise<Seed000Report> {
  await using server = await startServer();
  const { url } = server;
  const sentences = readFileSync(new URL("models/calibration.en.txt", root), "utf8")
    .trimEnd()
    .split("\n")
    .slice(0, sentencesMax);
  const agent = new Agent({ keepAlive: true });
  const alone = new Map<string, string>();
  for (const sentence of sentences) {
    const reply = await translate({ url, agent, texts: [sentence], class: "realtime" });
    alone.set(sentence, textsOf(reply)[0] ?? "");
  }
  const polls = startPolls(url);
  const loop = { url, agent, sentences, alone, endsAtMs: performance.now() + seconds * 1000 };
  const callers = await Promise.all([
    callInLoop({ ...loop, class: "realtime", items: 1 }),
    callInLoop({ ...loop, class: "bulk", items: bulkItems }),
  ]);
  const polled = await polls.end();
  const status = (await (await fetch(`${url}/status`)).json()) as StatusResponse;
  agent.destroy();
  return { seconds, aloneJobs: sentences.length, callers, polls: polled, status };
}

/** What must hold at any duration, on any machine; empty where it does. */
export function failuresOf({ aloneJobs, callers, polls, status }: Seed000Report): string[] {
  const failures: string[] = [];
  const expect = (holds: boolean, what: string): void => {
    if (!holds) failures.push(what);
  };
  for (const { class: workClass, sent, done, wrong } of callers) {
    expect(sent > 0 && done === sent, `${workClass}: ${done} done of ${sent} sent`);
    expect(wrong === 0, `${workClass}: ${wrong} wrong results`);
  }
  for (const { path, sent, answered, answeredDuringRun, failures: reasons } of polls) {
    expect(
      answered === sent,
      `${path}: ${answered} answered of ${sent} sent; ${reasons.join("; ")}`,
    );
    expect(answeredDuringRun > 0, `${path}: no answer while the model ran`);
  }
  const jobs = aloneJobs + callers.reduce((sum, { sent }) => sum + sent, 0);
  const { accepted, finished, refused, cancelled, active } = status.requests;
  expect(
    accepted === jobs && finished === jobs && refused + cancelled + active === 0,
    `${jobs} jobs, and the server counts ${JSON.stringify(status.requests)}`,
  );
  expect(
    status.items.done === status.items.accepted && status.items.retried === 0,
    `the server counts ${JSON.stringify(status.items)}`,
  );
  return failures;
}

export function describe({ callers, polls, status }: Seed000Report): string {
  const times = ({ p50Ms, p99Ms, maxMs }: Quantiles): string =>
    `p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, max ${maxMs.toFixed(1)} ms`;
  return [
    ...callers.map(
      ({ class: workClass, sent, done, wrong, latency }) =>
        `${workClass.padEnd(8)}  ${sent} jobs sent, ${done} done, ${wrong} items wrong; ${times(latency)}`,
    ),
    ...polls.map(
      ({ path, sent, answered, answeredDuringRun, latency, lateness }) =>
        `${path.padEnd(8)}  ${sent} polls, ${answered} answered, ${answeredDuringRun} during a run; ${times(latency)} (sent late by: ${times(lateness)})`,
    ),
    `server    ${status.items.done} items done; event-loop delay p99 ${status.process.eventLoopDelayP99Ms.toFixed(1)} ms`,
  ].join("\n");
}

async function startServer() {
  const main = fileURLToPath(import.meta.resolve("#src/cli/main.js"));
  const models = fileURLToPath(new URL("models", root));
  const flags = ["--models", models, "--port", "0", "--pipelines", "1", "--log", "json"];
  const child = spawn(process.execPath, [main, "serve", "--trial", "off", ...flags], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "close");
  const end = async (): Promise<void> => {
    child.kill("SIGTERM");
    await exited;
  };
  for await (const line of createInterface({ input: child.stdout })) {
    const record = JSON.parse(line) as { readonly msg?: string; readonly http?: string };
    if (record.msg !== "ready" || record.http === undefined) continue;
    // What it logs from now on is not read, but must not fill the pipe.
    child.stdout.resume();
    return { url: record.http, [Symbol.asyncDispose]: end };
  }
  throw new Error("the server ended before it was ready");
}

/** In a process of its own, so that what the callers do delays no poll. */
function startPolls(url: string): { end(): Promise<readonly PathReport[]> } {
  const script = fileURLToPath(new URL("./polls.js", import.meta.url));
  const child = fork(script, [url, String(pollsPerSecond)]);
  return {
    async end() {
      child.send("end");
      const [reports] = (await once(child, "message")) as [readonly PathReport[]];
      return reports;
    },
  };
}

interface Loop {
  readonly url: string;
  readonly agent: Agent;
  readonly sentences: readonly string[];
  readonly alone: ReadonlyMap<string, string>;
  readonly endsAtMs: number;
  readonly class: WorkClass;
  readonly items: number;
}

/** One job at a time, the next as soon as the last is done. */
async function callInLoop(loop: Loop): Promise<CallerReport> {
  const { class: workClass, sentences, alone, items, endsAtMs } = loop;
  const latencies: number[] = [];
  let [sent, wrong, next] = [0, 0, 0];
  while (performance.now() < endsAtMs) {
    const texts = Array.from({ length: items }, () => sentences[next++ % sentences.length] ?? "");
    const startedAtMs = performance.now();
    sent += 1;
    const results = textsOf(await translate({ ...loop, texts }));
    latencies.push(performance.now() - startedAtMs);
    wrong += texts.filter((sentence, index) => results[index] !== alone.get(sentence)).length;
  }
  const latency = quantiles(latencies);
  return { class: workClass, sent, done: latencies.length, wrong, latency };
}

interface Job {
  readonly url: string;
  readonly agent: Agent;
  readonly texts: readonly string[];
  readonly class: WorkClass;
}

/** A request, never sent again: a job that is lost must show. */
async function translate({ url, agent, ...job }: Job): Promise<TranslateResponse> {
  const body = JSON.stringify({ texts: job.texts, class: job.class, beams: 1 });
  const { status, reply } = await post(agent, new URL("/v1/translate", url), body);
  if (status !== 200) throw new Error(`status ${status}: ${reply}`);
  return JSON.parse(reply) as TranslateResponse;
}

function textsOf({ results }: TranslateResponse): string[] {
  return results.map((item) => ("error" in item ? item.error.code : item.text));
}
