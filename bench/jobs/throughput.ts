/**
 * The same lines through a job and as bulk requests of the client, on the same server, in turns. With instant workers what is left is
 * the runner beside the front; with a model the store must not be noticed at all.
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { Millrace } from "millrace-client";
import { atLeast, ratios } from "../harness/report.js";
import { JobApi } from "./job-api.js";
import { jobLines, madeLines } from "./made-lines.js";
import type { JobsSettings, ServeJobs, Workers } from "./settings.js";

interface Way {
  readonly perSecond: number;
  /** Of the texts in their order. */
  readonly hash: string;
}

export async function benchThroughput(
  settings: JobsSettings,
  serve: ServeJobs,
  workers: Workers,
): Promise<void> {
  const { report, rounds, parent, seed, lines } = settings;
  const texts = madeLines(seed, lines);
  const title = `${workers} workers, ${lines} lines`;
  const dataDir = join(parent, `throughput-${workers}`);
  await using server = await serve({ name: "server", dataDir, workers });
  const url = await server.ready();
  using api = new JobApi(url);
  await using client = new Millrace(url);
  // The first ones teach the engines what their runs cost.
  await direct(client, texts.slice(0, Math.min(lines, 512)));
  const [jobs, directs, fetches]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < rounds; round += 1) {
    const asked = await direct(client, texts);
    const { fetchPerSecond, ...run } = await throughJob(api, texts);
    if (run.hash !== asked.hash)
      throw new Error(`${title}: the job gave other results than the requests`);
    if (round === 0) report.say(`${title}: results ${run.hash}`);
    directs.push(asked.perSecond);
    jobs.push(run.perSecond);
    fetches.push(fetchPerSecond);
  }
  report.add(`${title}: bulk requests of the client`, directs, { unit: "lines/s" });
  report.add(`${title}: a job, from its first byte to completed`, jobs, { unit: "lines/s" });
  report.add(`${title}: its results read`, fetches, { unit: "lines/s" });
  report.add(`${title}: job / requests`, ratios(jobs, directs), { target: atLeast(0.95) });
}

async function direct(client: Millrace, texts: readonly string[]): Promise<Way> {
  const hash = createHash("sha256");
  const startedAtMs = performance.now();
  for await (const outcome of client.translateEach(texts, { beams: 1, class: "bulk" })) {
    if (!("text" in outcome)) throw new Error(`a line failed: ${JSON.stringify(outcome)}`);
    hash.update(`${outcome.text}\n`);
  }
  const perSecond = (1_000 * texts.length) / (performance.now() - startedAtMs);
  return { perSecond, hash: hash.digest("hex").slice(0, 16) };
}

async function throughJob(
  api: JobApi,
  texts: readonly string[],
): Promise<Way & { readonly fetchPerSecond: number }> {
  const startedAtMs = performance.now();
  const { id } = await api.create({
    fields: { task: "translate", beams: 1 },
    lines: jobLines(texts),
  });
  const status = await api.ended(id);
  const completedAtMs = performance.now();
  if (status.state !== "completed" || status.failed > 0)
    throw new Error(`the job did not succeed: ${JSON.stringify(status)}`);
  const hash = createHash("sha256");
  const read = await api.readResults(id, (line) => {
    hash.update(`${(JSON.parse(line) as { readonly text: string }).text}\n`);
  });
  if (read.lines !== texts.length || read.outOfOrder !== null)
    throw new Error(
      `${read.lines} results for ${texts.length} lines, out of order: ${read.outOfOrder}`,
    );
  const readMs = performance.now() - completedAtMs;
  await api.cancelAndRemove(id);
  return {
    perSecond: (1_000 * texts.length) / (completedAtMs - startedAtMs),
    fetchPerSecond: (1_000 * texts.length) / readMs,
    hash: hash.digest("hex").slice(0, 16),
  };
}
