/** The list that every store of durable jobs is held to (src/jobs/store.ts). What is special of one is tested beside it. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { MillraceError } from "millrace-client";
import { type JobStore, placeKeptMs } from "#src/jobs/store.js";
import { isLong } from "../../support/long.js";
import { until } from "../../support/until.js";
import {
  chunkOf,
  hasCode,
  keepFile,
  MiB,
  newFile,
  newJob,
  resultsOf,
  type StorePlace,
} from "./store-place.js";
import { StoreWalk } from "./store-walk.js";

type MakePlace = (context: TestContext) => Promise<StorePlace>;

export function storeCases(name: string, makePlace: MakePlace): void {
  const given = (
    title: string,
    run: (store: JobStore, place: StorePlace, context: TestContext) => Promise<void>,
  ): void => {
    test(`${name}: ${title}`, async (context) => {
      const place = await makePlace(context);
      await run(await place.open(256 * MiB), place, context);
    });
  };

  given("a file is there to the byte when it is finished, and to nobody before", async (store) => {
    await using opened = store;
    const writing = await opened.beginFile(newFile("file-1"));
    const bytes = Uint8Array.from({ length: 70_000 }, (_, at) => at % 251);
    await writing.add({ firstLine: 0, lines: 3, bytes });
    assert.equal(await opened.file("file-1"), null);
    assert.equal(await opened.chunk("file-1", 0), null);
    await writing.add({ firstLine: 3, lines: 1, bytes: bytes.subarray(0, 5) });
    const { sequence, ...stored } = await writing.finish();
    assert.ok(sequence > 0);
    const totals = { bytes: 70_005, lines: 4, chunks: 2, of: null };
    assert.deepEqual(stored, { ...newFile("file-1"), ...totals });
    await writing.abort();
    assert.deepEqual(await opened.chunk("file-1", 0), { index: 0, firstLine: 0, lines: 3, bytes });
    assert.equal(await opened.chunk("file-1", 2), null);
    assert.equal(await opened.deleteFile("file-1"), true);
    assert.equal(await opened.chunk("file-1", 0), null);
    assert.equal(await opened.deleteFile("file-1"), false);
  });

  given("a chunk has its results once, whoever commits them at the same time", async (store) => {
    await using opened = store;
    await keepFile(opened, "file-1", 3);
    await opened.createJob(newJob("job-1", "file-1"));
    const all = await Promise.all(
      Array.from(
        { length: 30 },
        async (_, at) => await opened.commit("job-1", resultsOf(at % 3, at)),
      ),
    );
    assert.equal(all.filter((wasFirst) => wasFirst).length, 3);
    const job = await opened.job("job-1");
    assert.deepEqual(job?.progress.chunks, 3);
    assert.deepEqual(job?.progress.succeeded, 3);
    assert.equal(await opened.nextUndone("job-1", 0), 3);
    const ends = { state: "completed", endedAtMs: 5, expiresAtMs: 9 } as const;
    assert.equal((await opened.changeJob("job-1", () => ends))?.state, "completed");
    assert.equal(await opened.commit("job-1", resultsOf(0, 0)), false);
    assert.equal(await opened.commit("job-2", resultsOf(0, 0)), false);
    assert.deepEqual(await opened.openJobs(), []);
  });

  given("changes of one job at the same time are one after the other", async (store) => {
    await using opened = store;
    await keepFile(opened, "file-1", 40);
    await opened.createJob(newJob("job-1", "file-1"));
    const commits = Array.from({ length: 40 }, (_, at) =>
      opened.commit("job-1", resultsOf(at, at)),
    );
    const changes = Array.from({ length: 20 }, () =>
      opened.changeJob("job-1", (job) => ({ startedAtMs: (job.startedAtMs ?? 0) + 1 })),
    );
    await Promise.all([...commits, ...changes]);
    const job = await opened.job("job-1");
    assert.equal(job?.startedAtMs, 20);
    assert.equal(job?.progress.chunks, 40);
    const broken = new Error("who changes it fails");
    const fails = (): never => {
      throw broken;
    };
    await assert.rejects(opened.changeJob("job-1", fails), broken);
    assert.equal((await opened.changeJob("job-1", () => null))?.startedAtMs, 20);
    assert.equal(await opened.changeJob("job-9", () => ({ startedAtMs: 1 })), null);
  });

  given("the same request makes one job, also when it comes twice at once", async (store) => {
    await using opened = store;
    await keepFile(opened, "file-1", 1);
    const keyed = { requestKey: "key", requestKeyUntilMs: 1_000 };
    const made = await Promise.all([
      opened.createJob({ ...newJob("job-1", "file-1"), ...keyed }),
      opened.createJob({ ...newJob("job-2", "file-1"), ...keyed }),
    ]);
    assert.equal(made.filter(({ isNew }) => isNew).length, 1);
    assert.equal(made[0]?.job.id, made[1]?.job.id);
    const other = { ...newJob("job-3", "file-1"), ...keyed, owner: "b" };
    assert.equal((await opened.createJob(other)).isNew, true);
    await opened.removeExpired(1_000);
    const again = await opened.createJob({ ...newJob("job-4", "file-1"), ...keyed });
    assert.deepEqual([again.isNew, again.job.id], [true, "job-4"]);
    await assert.rejects(opened.createJob(newJob("job-5", "file-9")), hasCode("file_not_found"));
  });

  given(
    "open jobs are counted by tenant, and a request's job is found, also behind a crash",
    async (store, place) => {
      await keepFile(store, "file-1", 1);
      const keyed = { requestKey: "key", requestKeyUntilMs: 1_000 };
      await store.createJob({ ...newJob("job-1", "file-1"), ...keyed, tenant: "a" });
      await store.createJob({ ...newJob("job-2", "file-1"), ...keyed, tenant: "b" });
      for (const [id, tenant] of [
        ["job-3", "a"],
        ["job-4", "a"],
        ["job-5", "b"],
      ] as const) {
        await store.createJob({ ...newJob(id, "file-1"), tenant });
      }
      assert.deepEqual(await store.openCount("a"), { all: 4, ofTenant: 3 });
      assert.deepEqual(await store.openCount("nobody"), { all: 4, ofTenant: 0 });
      const ends = { state: "cancelled", endedAtMs: 5, expiresAtMs: 9 } as const;
      await store.changeJob("job-3", () => ends);
      await store.changeJob("job-3", () => ({ calledAtMs: 6 }));
      await store.deleteJob("job-3");
      await store.deleteJob("job-4");
      assert.deepEqual(await store.openCount("a"), { all: 2, ofTenant: 1 });
      assert.equal((await store.requestedJob("a", "key"))?.id, "job-1");
      assert.equal(await store.requestedJob("b", "key"), null);
      assert.equal(await store.requestedJob("a", "other"), null);
      await using next = await place.crashed(store, 256 * MiB);
      assert.deepEqual(await next.openCount("b"), { all: 2, ofTenant: 1 });
      assert.equal((await next.requestedJob("a", "key"))?.id, "job-1");
      await next.deleteJob("job-1");
      assert.equal(await next.requestedJob("a", "key"), null);
    },
  );

  given("whoever listens is told of each change of a job, until they leave", async (store) => {
    await using opened = store;
    await keepFile(opened, "file-1", 1);
    const told = new Set<string>();
    const leave = opened.onJobChanged((id) => told.add(id));
    const next = async (): Promise<void> => {
      told.clear();
      await new Promise<void>((resolve) => {
        const stop = opened.onJobChanged(() => {
          stop();
          resolve();
        });
        if (told.size > 0) resolve();
      });
    };
    for (const change of [
      async () => void (await opened.createJob(newJob("job-1", "file-1"))),
      async () => void (await opened.commit("job-1", resultsOf(0, 0))),
      async () => void (await opened.changeJob("job-1", () => ({ startedAtMs: 1 }))),
      async () => void (await opened.deleteJob("job-1")),
    ]) {
      const isTold = next();
      await change();
      await isTold;
    }
    leave();
  });

  given("defect: the input of a job that left lines went before the job", async (store) => {
    await using opened = store;
    const ends = { endedAtMs: 100, expiresAtMs: 500 };
    for (const [id, state] of [
      ["part", "cancelled"],
      ["whole", "completed"],
    ] as const) {
      const writing = await opened.beginFile({ ...newFile(`file-${id}`), expiresAtMs: 200 });
      await writing.add(chunkOf(0));
      await writing.finish();
      await opened.createJob(newJob(`job-${id}`, `file-${id}`));
      if (state === "completed") await opened.commit(`job-${id}`, resultsOf(0, 0));
      // As long as it runs whatever it reads is kept.
      await opened.removeExpired(200);
      await opened.changeJob(`job-${id}`, () => ({ state, ...ends }));
    }
    const [first] = await opened.files({ owner: null, limit: 2 });
    assert.deepEqual([first?.id, first?.expiresAtMs], ["file-part", 500]);
    assert.equal(await opened.removeExpired(200), 1);
    assert.equal(await opened.file("file-whole"), null);
    assert.notEqual(await opened.chunk("file-part", 0), null);
    assert.equal(await opened.removeExpired(500), 3);
    assert.equal(await opened.file("file-part"), null);
  });

  given(
    "a file of a job alone is kept until the job goes, or for its time where none was made",
    async (store) => {
      await using opened = store;
      for (const id of ["file-1", "file-2"]) {
        const head = { ...newFile(id), isInternal: true };
        const writing = await opened.beginFile(head);
        await writing.add(chunkOf(0));
        await writing.finish({ expiresAtMs: 200 });
      }
      await opened.createJob(newJob("job-1", "file-1"));
      await opened.changeJob("job-1", () => ({
        state: "failed",
        endedAtMs: 100,
        expiresAtMs: 900,
      }));
      assert.equal(await opened.removeExpired(899), 1);
      assert.equal(await opened.file("file-2"), null);
      assert.notEqual(await opened.chunk("file-1", 0), null);
      assert.equal(await opened.removeExpired(900), 1);
      assert.equal(await opened.file("file-1"), null);
    },
  );

  given("ids that nobody can have made are not there, and harm nothing", async (store) => {
    await using opened = store;
    for (const id of [
      "",
      "\0",
      "a\0b",
      "x".repeat(100_000),
      "\ud800",
      "*",
      "file-1/../x",
      "ü.>*",
    ]) {
      assert.equal(await opened.file(id), null);
      assert.equal(await opened.job(id), null);
      assert.equal(await opened.chunk(id, 0), null);
      assert.equal(await opened.results(id, 0), null);
      assert.equal(await opened.deleteFile(id), false);
      assert.equal(await opened.deleteJob(id), false);
      const isRefused = (error: unknown): boolean =>
        error instanceof MillraceError && error.code === "bad_request" && error.param === "after";
      await assert.rejects(opened.files({ owner: null, limit: 1, after: id }), isRefused);
      await assert.rejects(opened.jobs({ owner: null, limit: 1, after: id }), isRefused);
    }
  });

  given(
    "defect: who deleted what they listed, a page at a time, was refused the second page",
    async (store, place) => {
      const all = ["1", "2", "3", "4", "5"];
      for (const at of all) {
        await keepFile(store, `file-${at}`, 1);
        await store.createJob({ ...newJob(`job-${at}`, `file-${at}`), owner: "a" });
      }
      for (const order of ["asc", "desc"] as const) {
        const places: number[] = [];
        for (const kind of ["files", "jobs"] as const) {
          const [first] = await store[kind]({ owner: "a", limit: 1, order });
          places.push(first?.sequence ?? 0);
        }
        const [file, job] = order === "asc" ? ["file-1", "job-1"] : ["file-5", "job-5"];
        await store.deleteJob(job);
        await store.deleteFile(file);
        const next = order === "asc" ? ["2", "3"] : ["4", "3"];
        for (const after of [
          { file, job },
          { file: places[0] ?? 0, job: places[1] ?? 0 },
        ]) {
          const rest = { owner: "a", limit: 2, order };
          const files = await store.files({ ...rest, after: after.file });
          assert.deepEqual(
            files.map(({ id }) => id),
            next.map((at) => `file-${at}`),
          );
          const jobs = await store.jobs({ ...rest, after: after.job });
          assert.deepEqual(
            jobs.map(({ id }) => id),
            next.map((at) => `job-${at}`),
          );
        }
      }
      await using next = await place.crashed(store, 256 * MiB);
      const [behind] = await next.jobs({ owner: null, limit: 1, after: "job-1" });
      assert.equal(behind?.id, "job-2");
      // Of one list only, and of nobody else's.
      const isRefused = hasCode("bad_request");
      await assert.rejects(next.jobs({ owner: "b", limit: 1, after: "job-1" }), isRefused);
      await assert.rejects(next.files({ owner: "a", limit: 1, after: "job-1" }), isRefused);
      assert.equal(await next.removeExpired(placeKeptMs), 0);
    },
  );

  given("the latest time is kept, never an earlier one", async (store, place) => {
    assert.equal(await store.keptTimeMs(), 0);
    await store.keepTimeMs(1_700_000_000_000);
    await store.keepTimeMs(5);
    await using again = await place.crashed(store, 256 * MiB);
    assert.equal(await again.keptTimeMs(), 1_700_000_000_000);
  });

  test(`${name}: full, it takes nothing new and finishes what it has taken`, async (context) => {
    const place = await makePlace(context);
    await using store = await place.open(2 * MiB);
    await keepFile(store, "file-1", 4);
    await store.createJob(newJob("job-1", "file-1"));
    const writing = await store.beginFile(newFile("file-2"));
    const bytes = new Uint8Array(64 * 1024);
    const fill = async (): Promise<void> => {
      for (let at = 0; at < 200; at += 1) await writing.add({ firstLine: at, lines: 1, bytes });
      await writing.finish();
    };
    await assert.rejects(fill(), hasCode("job_store_full"));
    const { bytes: used, bytesMax } = store.usage();
    assert.equal(bytesMax, 2 * MiB);
    assert.ok(used <= 2 * MiB + 32 * 70_000, `${used} bytes`);
    await assert.rejects(store.beginFile(newFile("file-3")), hasCode("job_store_full"));
    await assert.rejects(store.createJob(newJob("job-2", "file-1")), hasCode("job_store_full"));
    for (let at = 0; at < 4; at += 1) {
      assert.equal(await store.commit("job-1", { ...resultsOf(at, at), body: bytes }), true);
    }
    await writing.abort();
    await store.deleteJob("job-1");
    await until(() => store.usage().bytes <= MiB);
    await keepFile(store, "file-4", 1);
  });

  // Each is another walk; a failure names its seed.
  for (const seed of isLong ? [1, 2, 3, 4] : [1]) {
    test(`${name}: whatever is done in whatever order, seed ${seed}`, async (context) => {
      const place = await makePlace(context);
      await new StoreWalk(seed, place).walk(isLong ? 300 : 100);
    });
  }
}
