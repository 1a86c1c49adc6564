/**
 * One job under `kill -9` of the whole process tree, again and again at seeded random moments: while it is uploaded, while it runs,
 * right behind a commit, while the server starts; and small jobs that end, by cancelling or by their deadline, in that very moment.
 * What comes out must be what an undisturbed run gives, to the byte.
 */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Random } from "../../test/sim/random.js";
import { freePorts } from "../clients/serve.js";
import { atLeast, under } from "../harness/report.js";
import type { ServerTree } from "../harness/server-tree.js";
import { doneOf, hasJobEnded, JobApi } from "./job-api.js";
import { jobLines, madeLines } from "./made-lines.js";
import { whenSeen } from "./restart.js";
import type { JobsSettings, ServeJobs, ServeSpec, Workers } from "./settings.js";
import { stormEndings } from "./storm-endings.js";

const lookMs = 5;
const fields = { task: "translate", beams: 1 } as const;

interface StormSize {
  /** While the one job runs; a tenth as many more while it is uploaded, and for each kind of ending. */
  readonly kills: number;
  readonly workers: Workers;
}

export async function benchStorm(
  settings: JobsSettings,
  serve: ServeJobs,
  { kills, workers }: StormSize,
): Promise<void> {
  const { report, parent, seed, lines } = settings;
  const texts = madeLines(seed, lines);
  const expected = await undisturbed(settings, serve, { texts, workers });
  report.say(
    `storm: ${lines} lines, ${workers} workers, seed ${seed}; undisturbed ${expected.hash}`,
  );
  const countsDir = join(parent, "storm-counts");
  await mkdir(countsDir, { recursive: true });
  const [port = 0] = await freePorts(1);
  const dataDir = join(parent, "storm");
  const spec = { name: "server", dataDir, workers, port, countsDir };
  await using storm = await JobStorm.start(serve, spec, new Random(seed));
  const startedAtMs = performance.now();
  const others = Math.max(1, Math.round(kills / 10));
  const id = await upload(storm, texts, others);
  await killWhileItRuns(storm, { id, lines, kills });
  await whenSeen(() => storm.api.status(id));
  const status = await storm.api.ended(id);
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const begun = await countsIn(countsDir);
  const read = await storm.api.readResults(id);
  storm.expect(status.state === "completed", `the job ended as ${status.state}`);
  storm.expect(status.succeeded === lines, `${status.succeeded} of ${lines} lines succeeded`);
  storm.expect(read.lines === lines, `${read.lines} results for ${lines} lines`);
  storm.expect(read.outOfOrder === null, `line ${read.outOfOrder} is out of order`);
  storm.expect(
    read.hash === expected.hash,
    `the bytes are ${read.hash}, undisturbed ${expected.hash}`,
  );
  report.add("the job's lines without exactly one result", [Math.abs(lines - read.lines)], {
    target: under(1),
  });
  report.say(
    `its bytes: ${read.hash}, ${read.hash === expected.hash ? "equal" : "NOT EQUAL"}; in order: ${read.outOfOrder === null}`,
  );
  if (workers !== "real")
    report.add("lines begun more than once", [begun - lines], { unit: "lines" });
  report.add("seconds of the job, kills and restarts among them", [seconds], { unit: "s" });
  await stormEndings(storm, { texts, expected: expected.results, each: others, report });
  const said = [...storm.kills].map(([when, count]) => `${count} ${when}`).join(", ");
  report.add("kills of the whole process tree", [storm.killed], { target: atLeast(kills) });
  report.say(`kills: ${said}`);
  report.add("promises broken in the storm", [storm.failures.length], { target: under(1) });
  if (storm.failures.length > 0) throw new Error(storm.failures.join("\n"));
}

/** A server that is killed, and everything that is known of it. */
export class JobStorm implements AsyncDisposable {
  readonly random: Random;
  readonly api: JobApi;
  readonly kills: Map<string, number> = new Map();
  readonly failures: string[] = [];
  readonly #serve: () => Promise<ServerTree>;
  readonly #killed = new Set<ServerTree>();
  #server: ServerTree;

  static async start(serve: ServeJobs, spec: ServeSpec, random: Random): Promise<JobStorm> {
    const start = (): Promise<ServerTree> => serve(spec);
    const server = await start();
    await server.ready();
    return new JobStorm(start, server, { random, url: `http://127.0.0.1:${spec.port}` });
  }

  private constructor(
    serve: () => Promise<ServerTree>,
    server: ServerTree,
    { random, url }: { readonly random: Random; readonly url: string },
  ) {
    this.#serve = serve;
    this.#server = server;
    this.random = random;
    this.api = new JobApi(url);
  }

  get killed(): number {
    return [...this.kills.values()].reduce((sum, count) => sum + count, 0);
  }

  expect(holds: boolean, what: string): void {
    if (!holds) this.failures.push(what);
  }

  async kill(when: string): Promise<void> {
    this.#killed.add(this.#server);
    await this.#server.kill();
    this.kills.set(when, (this.kills.get(when) ?? 0) + 1);
  }

  /** It may not listen yet when this resolves. */
  async restart(): Promise<void> {
    const server = await this.#serve();
    this.#server = server;
    // Why one does not come up is told, and not that nobody answers.
    server.ready().catch((error: unknown) => {
      if (!this.#killed.has(server)) this.failures.push(String(error));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.api[Symbol.dispose]();
    this.#killed.add(this.#server);
    await this.#server.kill();
  }
}

async function undisturbed(
  { parent }: JobsSettings,
  serve: ServeJobs,
  { texts, workers }: { readonly texts: readonly string[]; readonly workers: Workers },
): Promise<{ readonly hash: string; readonly results: readonly string[] }> {
  // Made results do not depend on how long they take.
  const quick = workers === "timed" ? "instant" : workers;
  const dataDir = join(parent, "storm-undisturbed");
  await using server = await serve({ name: "undisturbed", dataDir, workers: quick });
  using api = new JobApi(await server.ready());
  const { id } = await api.create({ fields, lines: jobLines(texts) });
  await api.ended(id);
  const results: string[] = [];
  const { hash, lines, failed } = await api.readResults(id, (line) => results.push(line));
  if (lines !== texts.length || failed > 0)
    throw new Error(`undisturbed: ${lines} results, ${failed} of them failed`);
  return { hash, results };
}

/** Broken off so many times, and sent again with its key; the last time it is let through. */
async function upload(storm: JobStorm, texts: readonly string[], kills: number): Promise<string> {
  const requestKey = `storm-${storm.random.int(0, 1e9)}`;
  for (let attempt = 0; attempt < kills; attempt += 1) {
    // Above 1: behind the last byte, when the job may be there already and the reply is not.
    const part = 1.4 * storm.random.next();
    const killAfterMs = storm.random.int(0, 30);
    const kill = once(() => delay(killAfterMs).then(() => storm.kill("while it was uploaded")));
    const lines = brokenOff(texts, part, kill);
    const sending = storm.api.create({ fields, lines, requestKey, onSent: () => void kill() });
    // Nearly always it breaks; where it was accepted first, the same job must be found again.
    await sending.catch(() => {});
    await kill();
    await storm.restart();
    await whenSeen(() => storm.api.list());
  }
  const { id } = await storm.api.create({ fields, lines: jobLines(texts), requestKey });
  const again = await storm.api.create({ fields, lines: jobLines(texts), requestKey });
  storm.expect(again.id === id, "the same request key made a second job");
  const jobs = await storm.api.list();
  storm.expect(jobs.length === 1, `${jobs.length} jobs are there, one was accepted`);
  return id;
}

function once<Result>(action: () => Result): () => Result {
  let done: { readonly result: Result } | null = null;
  return () => (done ??= { result: action() }).result;
}

async function* brokenOff(
  texts: readonly string[],
  part: number,
  kill: () => Promise<void>,
): AsyncGenerator<Buffer> {
  let sent = 0;
  const pieces = [...jobLines(texts)];
  for (const piece of pieces) {
    if (sent >= part * pieces.length) void kill();
    yield piece;
    sent += 1;
    await delay(1);
  }
}

interface RunningJob {
  readonly id: string;
  readonly lines: number;
  readonly kills: number;
}

/** The kills are spread over the job's lines, so that it never ends before the last one. */
async function killWhileItRuns(storm: JobStorm, { id, lines, kills }: RunningJob): Promise<void> {
  const { random } = storm;
  let told = 0;
  const progress = async (holds: (done: number) => boolean): Promise<boolean> => {
    for (;;) {
      const status = await whenSeen(() => storm.api.status(id));
      const done = doneOf(status);
      storm.expect(done >= told, `${told} results were told, and then ${done}`);
      told = Math.max(told, done);
      if (hasJobEnded(status)) return false;
      if (holds(done)) return true;
      await delay(lookMs);
    }
  };
  for (let kill = 0; kill < kills; kill += 1) {
    const target = Math.floor((0.95 * lines * (kill + random.next())) / kills);
    if (!(await progress((done) => done >= target))) break;
    if (random.chance(0.4)) {
      const before = told;
      if (!(await progress((done) => done > before))) break;
      await storm.kill("right behind a commit");
    } else {
      await delay(random.int(0, 150));
      await storm.kill("while it ran");
    }
    await storm.restart();
    if (!random.chance(0.2) || kill + 1 >= kills) continue;
    kill += 1;
    await delay(random.int(0, 1_500));
    await storm.kill("while the server started");
    await storm.restart();
  }
}

async function countsIn(dir: string): Promise<number> {
  const files = await readdir(dir);
  const texts = await Promise.all(files.map((name) => readFile(join(dir, name), "utf8")));
  return texts.flatMap((text) => text.split("\n")).reduce((sum, line) => sum + Number(line), 0);
}
