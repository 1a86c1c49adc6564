/** One node against three on the same NATS, in turns: bulk requests, one large one, jobs, and realtime at equal load for each node. */
import { atLeast, ratios, under } from "../harness/report.js";
import { JobApi } from "../jobs/job-api.js";
import { jobLines, madeLines } from "../jobs/made-lines.js";
import { askAtOnce, askBulk, askRealtime } from "./callers.js";
import { Deployment } from "./deployment.js";
import type { NodesSettings } from "./settings.js";

const many = 3;

export interface ScalingParts {
  readonly bulk: boolean;
  readonly large: boolean;
  readonly jobs: boolean;
  readonly realtime: boolean;
}

export async function benchScaling(settings: NodesSettings, parts: ScalingParts): Promise<void> {
  await using one = await Deployment.start(settings, { prefix: "one", nodes: 1, workers: "timed" });
  await using three = await Deployment.start(settings, {
    prefix: "three",
    nodes: many,
    workers: "timed",
  });
  if (parts.bulk) await scale(settings, { one, three, what: "bulk requests", drive: bulkRequests });
  if (parts.large) {
    await scale(settings, { one, three, what: "one large request", drive: largeRequest });
  }
  if (parts.jobs) await scale(settings, { one, three, what: "a job", drive: throughJob });
  if (parts.realtime) await realtime(settings, one, three);
}

/** Gives sentences a second, and a hash of what came out. */
type Drive = (
  deployment: Deployment,
  texts: readonly string[],
) => Promise<{ readonly perSecond: number; readonly hash: string }>;

interface Scaling {
  readonly one: Deployment;
  readonly three: Deployment;
  readonly what: string;
  readonly drive: Drive;
}

/** Each node gets the same number of sentences. */
async function scale(
  { report, rounds, seed, lines }: NodesSettings,
  { one, three, what, drive }: Scaling,
): Promise<void> {
  const texts = madeLines(seed, many * lines);
  const few = texts.slice(0, lines);
  // The first ones teach the engines what their runs cost.
  const small = texts.slice(0, Math.min(512, lines));
  await drive(one, small);
  await drive(three, small);
  const [singles, triples]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round += 1) {
    const alone = await drive(one, few);
    const together = await drive(three, texts);
    if (round === 0)
      report.say(`${what}: results ${alone.hash} of one node, ${together.hash} of three`);
    singles.push(alone.perSecond);
    triples.push(together.perSecond / many);
  }
  const unit = { unit: "sentences/s" };
  report.add(`${what}: one node`, singles, unit);
  report.add(`${what}: each of three nodes`, triples, unit);
  report.add(`${what}: efficiency of three nodes`, ratios(triples, singles), {
    target: atLeast(0.9),
  });
}

const bulkRequests: Drive = async ({ url, nodes }, texts) =>
  await askBulk(url, texts, nodes.length);

const largeRequest: Drive = async ({ url }, texts) => await askAtOnce(url, texts);

const throughJob: Drive = async ({ url }, texts) => {
  using api = new JobApi(url);
  const startedAtMs = performance.now();
  const { id } = await api.create({
    fields: { task: "translate", beams: 1 },
    lines: jobLines(texts),
  });
  const { succeeded } = await api.ended(id);
  const perSecond = (1_000 * texts.length) / (performance.now() - startedAtMs);
  const { lines, outOfOrder, hash } = await api.readResults(id);
  if (succeeded !== texts.length || lines !== texts.length || outOfOrder !== null)
    throw new Error(`${succeeded} of ${texts.length} lines succeeded, ${lines} results`);
  await api.cancelAndRemove(id);
  return { perSecond, hash };
};

async function realtime(
  { report, rounds, seed, rate, ms }: NodesSettings,
  one: Deployment,
  three: Deployment,
): Promise<void> {
  const [singles, triples]: [number[], number[]] = [[], []];
  const [halves, halvesOfThree]: [number[], number[]] = [[], []];
  const warm = Math.min(ms, 1_000);
  await askRealtime({ url: one.url, perSecond: rate, ms: warm, seed });
  await askRealtime({ url: three.url, perSecond: many * rate, ms: warm, seed });
  for (let round = 0; round < rounds; round += 1) {
    const own = { ms, seed: seed + round };
    const alone = await askRealtime({ url: one.url, perSecond: rate, ...own });
    const together = await askRealtime({ url: three.url, perSecond: many * rate, ...own });
    singles.push(alone.p99Ms);
    triples.push(together.p99Ms);
    halves.push(alone.p50Ms);
    halvesOfThree.push(together.p50Ms);
  }
  const title = `realtime, ${rate} requests/s for each node`;
  const unit = { unit: "ms" };
  report.add(`${title}: p50, one node`, halves, unit);
  report.add(`${title}: p50, three nodes`, halvesOfThree, unit);
  report.add(`${title}: p99, one node`, singles, unit);
  report.add(`${title}: p99, three nodes`, triples, unit);
  report.add(`${title}: p99 of three / p99 of one`, ratios(triples, singles), {
    target: under(1.3),
  });
}
