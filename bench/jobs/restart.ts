/** `kill -9` of everything in the middle of a job, and how long it takes until the job goes on. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePorts } from "../clients/serve.js";
import { doneOf, JobApi } from "./job-api.js";
import { jobLines, madeLines } from "./made-lines.js";
import type { JobsSettings, ServeJobs } from "./settings.js";

const lookMs = 5;
const waitMsMax = 60_000;

export async function benchRestart(settings: JobsSettings, serve: ServeJobs): Promise<void> {
  const { report, rounds, parent, seed, lines } = settings;
  const dataDir = join(parent, "restart");
  const [port = 0] = await freePorts(1);
  const start = () => serve({ name: "server", dataDir, workers: "timed", port });
  let server = await start();
  const [listening, ready, resumed]: [number[], number[], number[]] = [[], [], []];
  try {
    using api = new JobApi(await server.ready());
    const { id } = await api.create({
      fields: { task: "translate", beams: 1 },
      lines: jobLines(madeLines(seed, lines)),
    });
    const job = { api, id, step: Math.floor(lines / (rounds + 1)) };
    for (let round = 0; round < rounds; round += 1) {
      await api.when(id, (status) => doneOf(status) >= round * job.step);
      const before = doneOf(await api.status(id));
      await server.kill();
      server = await start();
      const { startedAtMs } = server;
      const first = await whenSeen(() => api.status(id));
      listening.push(performance.now() - startedAtMs);
      // What was committed before it died, and not told yet, is no progress of the new one.
      const kept = Math.max(before, doneOf(first));
      const readyAtMs = server.ready().then(() => performance.now());
      await api.when(id, (status) => doneOf(status) > kept);
      resumed.push(performance.now() - startedAtMs);
      ready.push((await readyAtMs) - startedAtMs);
    }
    const { succeeded, failed } = await api.ended(id);
    const unit = { unit: "ms" };
    report.say(
      `restart: ${lines} lines, killed ${rounds} times; ${succeeded} right, ${failed} failed at the end`,
    );
    report.add("from its start until it answers", listening, unit);
    report.add("from its start until its models are ready", ready, unit);
    report.add("from its start until the first new result is committed", resumed, unit);
  } finally {
    await server.kill();
  }
}

/** Again and again until the server listens. */
export async function whenSeen<Result>(look: () => Promise<Result>): Promise<Result> {
  const endAtMs = performance.now() + waitMsMax;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (performance.now() > endAtMs) throw error;
      await delay(lookMs);
    }
  }
}
