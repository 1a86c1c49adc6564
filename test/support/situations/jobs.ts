/** Durable jobs on a disk that is slow, or full. */
import { setTimeout as delay } from "node:timers/promises";
import type { StatusResponse } from "millrace-client/wire";
import type { DoctorWindow, WholeLook } from "#src/doctor/window.js";
import type { ChunkResults } from "#src/jobs/store.js";
import { wholeStatus } from "#src/jobs/whole-status.js";
import { liveSampleOf } from "#src/metrics/live-sample.js";
import { anyCaller } from "#src/work/caller.js";
import { made, text } from "../job-work.js";
import { MemoryJobStore } from "../memory-job-store.js";
import { someStatus } from "../some-status.js";
import { TempDir } from "../temp-dir.js";
import { until } from "../until.js";
import { ClosedLoop, sentences } from "./load.js";
import { type Situation, situation } from "./situation.js";
import { seen, TimedServer } from "./timed-server.js";

/** Every commit takes as long as on a disk that many write to. */
class SlowStore extends MemoryJobStore {
  override async commit(jobId: string, results: ChunkResults): Promise<boolean> {
    await delay(300);
    return await super.commit(jobId, results);
  }
}

function lookOf(status: StatusResponse): WholeLook {
  return { atMs: Date.now(), status, nodes: null };
}

export const jobSituations: readonly Situation[] = [
  situation("the disk of the jobs is slow", "disk-slow", async (): Promise<DoctorWindow> => {
    await using work = await made({ store: new SlowStore() });
    const still: StatusResponse = { ...someStatus(), queues: [], stages: [] };
    const now = (): WholeLook => lookOf(wholeStatus({ status: () => still }, work.jobs));
    const before = now();
    const lines = sentences(1_000, 4).map((line) => `${JSON.stringify(line)}\n`);
    await work.jobs.create(anyCaller, {
      form: { kind: "native", task: "translate", model: null, fields: {} },
      input: { lines: text(lines.join("")) },
    });
    await until(() => (work.jobs.status().commits ?? 0) >= 4);
    const after = now();
    const samples = [before, after].map(({ status, atMs }) => liveSampleOf(status, atMs));
    return { before, after, samples };
  }),
  situation("the store of the jobs is full", "job-store-full", async () => {
    await using data = await TempDir.make();
    const options = { workers: "fake", data: data.path, jobsBytesMax: 16 * 1024 ** 2 } as const;
    await using server = await TimedServer.start(options);
    const body = JSON.stringify({ task: "translate", texts: sentences(5_000, 80) });
    await using _ = new ClosedLoop(server.url, 1, () => ({ path: "/v1/jobs", body }));
    return await seen(server.url);
  }),
];
