/**
 * How many lines a second are accepted, which means on disk, by each way in; what a line takes on disk; and what the server's own memory
 * does while a file of millions of lines comes in, and while a job of that size runs.
 */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { memoryBytesOf } from "../../test/support/processes.js";
import { spread } from "../harness/machine.js";
import { under } from "../harness/report.js";
import { createBatch, uploadBatchFile } from "./batch-api.js";
import { JobApi } from "./job-api.js";
import { jobLines, madeLine, madeLines } from "./made-lines.js";
import type { JobsSettings, ServeJobs } from "./settings.js";

const fields = { task: "translate", beams: 1 } as const;
/** As texts of one JSON body. */
const jsonLinesMax = 10_000;

export async function benchAccept(settings: JobsSettings, serve: ServeJobs): Promise<void> {
  await acceptSpeeds(settings, serve);
  await bytesOnDisk(settings, serve);
}

async function acceptSpeeds(
  { report, rounds, parent, seed, lines }: JobsSettings,
  serve: ServeJobs,
): Promise<void> {
  const dataDir = join(parent, "accept");
  await using server = await serve({ name: "server", dataDir, workers: "timed" });
  using api = new JobApi(await server.ready());
  const texts = madeLines(seed, lines);
  const few = texts.slice(0, jsonLinesMax);
  const [json, ndjson, files, batches]: [number[], number[], number[], number[]] = [[], [], [], []];
  const timed = async <Result>(
    into: number[],
    count: number,
    action: () => Promise<Result>,
  ): Promise<Result> => {
    const startedAtMs = performance.now();
    const result = await action();
    into.push((1_000 * count) / (performance.now() - startedAtMs));
    return result;
  };
  for (let round = 0; round < rounds; round += 1) {
    const ofTexts = await timed(json, few.length, () => api.createOfTexts(fields, few));
    await api.cancelAndRemove(ofTexts.id);
    const ofLines = await timed(ndjson, lines, () =>
      api.create({ fields, lines: jobLines(texts) }),
    );
    await api.cancelAndRemove(ofLines.id);
    const file = await timed(files, lines, () => uploadBatchFile(api, texts));
    const batch = await timed(batches, lines, () => createBatch(api, file));
    await batch.remove();
  }
  const meaning = { unit: "lines/s" };
  report.add(`accepted, ${few.length} texts in a JSON body`, json, meaning);
  report.add(`accepted, ${lines} lines of NDJSON`, ndjson, meaning);
  report.add(`uploaded, a file of ${lines} requests in OpenAI's form`, files, meaning);
  report.add("a batch over it, until all its lines are checked", batches, meaning);
}

async function bytesOnDisk(
  { report, parent, seed, lines }: JobsSettings,
  serve: ServeJobs,
): Promise<void> {
  const dataDir = join(parent, "disk");
  await using server = await serve({ name: "server", dataDir, workers: "instant" });
  using api = new JobApi(await server.ready());
  const texts = madeLines(seed, lines);
  const empty = await diskBytesOf(dataDir);
  const { id } = await api.create({ fields, lines: jobLines(texts) });
  await api.ended(id);
  const full = await diskBytesOf(dataDir);
  let resultBytes = 0;
  await api.readResults(id, (line) => {
    resultBytes += line.length + 1;
  });
  const inputBytes = [...jobLines(texts)].reduce((sum, { length }) => sum + length, 0);
  const unit = { unit: "bytes" };
  report.add("on disk, a line with its result", [(full - empty) / lines], unit);
  report.add(
    "of them the line and its result themselves",
    [(inputBytes + resultBytes) / lines],
    unit,
  );
}

/** Lines of millions are made while they are sent: here too nothing may be held. */
export async function benchMemory(
  { report, parent, seed, ms }: JobsSettings,
  serve: ServeJobs,
  lines: number,
): Promise<void> {
  const dataDir = join(parent, "memory");
  await using server = await serve({ name: "server", dataDir, workers: "instant" });
  using api = new JobApi(await server.ready());
  const before = ownMiBOf(server.pid);
  const coming = new Sampler(server.pid);
  let sent = 0;
  const startedAtMs = performance.now();
  const made = function* (): Generator<string> {
    for (; sent < lines; sent += 1) yield madeLine(seed, sent);
  };
  const { id } = await api.create({ fields, lines: jobLines(made()) });
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const whileComing = coming.end();
  report.say(
    `memory: ${lines} lines came in ${seconds.toFixed(1)} s; before them the server had ${before.toFixed(0)} MiB`,
  );
  reportSamples("while they come in", whileComing, report);
  const running = new Sampler(server.pid);
  const lookedAt = new AbortController();
  await Promise.race([api.ended(id), delay(ms, undefined, { signal: lookedAt.signal })]);
  lookedAt.abort();
  const { state, succeeded } = await api.status(id);
  reportSamples(`while ${succeeded} of them are run`, running.end(), report);
  if (state !== "completed") return await api.cancelAndRemove(id);
  const reading = new Sampler(server.pid);
  const results = await api.readResults(id);
  reportSamples(`while ${results.lines} results are read`, reading.end(), report);
  const isRight = succeeded === lines && results.lines === lines && results.outOfOrder === null;
  report.say(`memory: each line has its result, in its place: ${isRight ? "yes" : "NO"}`);
  await api.delete(id);
}

function reportSamples(
  title: string,
  samples: readonly number[],
  report: JobsSettings["report"],
): void {
  const tenth = Math.max(1, Math.floor(samples.length / 10));
  // The heap takes its size at first; what grows with the lines grows to the end.
  const middle = Math.floor(samples.length / 2);
  const before = spread(samples.slice(middle - tenth, middle + 1)).median;
  const late = spread(samples.slice(-tenth)).median;
  report.add(`memory of the front ${title}`, samples, { unit: "MiB" });
  report.add(`the last tenth of that time over the middle, ${title}`, [late / before], {
    target: under(1.1),
  });
}

const sampleMs = 50;

/** What is resident and its own: pages of the store's file are the system's, which takes them back as it likes. */
function ownMiBOf(pid: number): number {
  return memoryBytesOf(pid, "RssAnon") / 1024 ** 2;
}

/** Mebibytes of a process, some times a second. */
class Sampler {
  readonly #samples: number[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #look: () => void;

  constructor(pid: number) {
    this.#look = () => void this.#samples.push(ownMiBOf(pid));
    this.#look();
    this.#timer = setInterval(this.#look, sampleMs);
  }

  end(): readonly number[] {
    clearInterval(this.#timer);
    this.#look();
    return this.#samples;
  }
}

/** What the files of a folder take, which is less than their length where they have holes. */
async function diskBytesOf(dir: string): Promise<number> {
  const names = await readdir(dir, { recursive: true });
  const stats = await Promise.all(names.map((name) => stat(join(dir, name))));
  return stats.reduce((sum, { blocks }) => sum + 512 * blocks, 0);
}
