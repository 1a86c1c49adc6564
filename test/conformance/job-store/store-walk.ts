/** A walk of chance over a store and its model beside it: every answer is the same, and after a crash everything is. */
import assert from "node:assert/strict";
import { MillraceError } from "millrace-client";
import type { DerivedFile, JobChange, JobStore, PageQuery } from "#src/jobs/store.js";
import { Random } from "../../sim/random.js";
import { StoreModel } from "./store-model.js";
import { chunkOf, MiB, newFile, newJob, resultsOf, type StorePlace } from "./store-place.js";

const owners = ["a", "b", null] as const;

export class StoreWalk {
  readonly #random: Random;
  readonly #place: StorePlace;
  readonly #model = new StoreModel();
  #made = 0;
  #nowMs = 1_000;

  constructor(seed: number, place: StorePlace) {
    this.#random = new Random(seed);
    this.#place = place;
  }

  async walk(steps: number): Promise<void> {
    let store = await this.#place.open(256 * MiB);
    const moves = [
      (on: JobStore) => this.#keepFile(on),
      (on: JobStore) => this.#keepFile(on),
      (on: JobStore) => this.#leaveFile(on),
      (on: JobStore) => this.#createJob(on),
      (on: JobStore) => this.#createJob(on),
      (on: JobStore) => this.#commit(on),
      (on: JobStore) => this.#commit(on),
      (on: JobStore) => this.#commit(on),
      (on: JobStore) => this.#changeJob(on),
      (on: JobStore) => this.#endJob(on),
      (on: JobStore) => this.#remove(on),
      (on: JobStore) => this.#expire(on),
      (on: JobStore) => this.#page(on),
      (on: JobStore) => this.#page(on),
    ];
    for (let step = 0; step < steps; step += 1) {
      await this.#random.pick(moves)(store);
      if (this.#random.chance(0.015)) {
        await store[Symbol.asyncDispose]();
        store = await this.#place.open(256 * MiB);
      }
      if (step === steps >> 1) store = await this.#place.crashed(store, 256 * MiB);
    }
    await this.#compareAll(store);
    store = await this.#place.crashed(store, 256 * MiB);
    await this.#compareAll(store);
    await store[Symbol.asyncDispose]();
  }

  async #keepFile(store: JobStore): Promise<void> {
    const isInternal = this.#random.chance(0.3);
    const head = {
      ...newFile(this.#id("file")),
      owner: this.#random.pick(owners),
      isInternal,
      expiresAtMs: !isInternal && this.#random.chance(0.4) ? this.#later() : null,
    };
    const chunks = Array.from({ length: this.#random.int(0, 5) }, (_, at) => chunkOf(at));
    const writing = await store.beginFile(head);
    for (const { index: _index, ...chunk } of chunks) await writing.add(chunk);
    const stored = await writing.finish();
    assert.deepEqual(plain(stored), plain(this.#model.keepFile(head, chunks)));
  }

  /** Nothing of it may be seen later: aborted, or just left, as a dead process leaves it. */
  async #leaveFile(store: JobStore): Promise<void> {
    const writing = await store.beginFile(newFile(this.#id("left")));
    await writing.add(chunkOf(0));
    if (this.#random.chance(0.5)) await writing.abort();
  }

  async #createJob(store: JobStore): Promise<void> {
    const files = [...this.#model.files.values()].filter(({ stored }) => stored.of === null);
    const used = new Set([...this.#model.jobs.values()].map(({ stored }) => stored.fileId));
    // An internal one belongs to one job.
    const free = files.filter(({ stored }) => !stored.isInternal || !used.has(stored.id));
    if (free.length === 0) return;
    const key = this.#random.chance(0.4) ? `key-${this.#random.int(0, 3)}` : null;
    const job = {
      ...newJob(this.#id("job"), this.#random.pick(free).stored.id),
      owner: this.#random.pick(owners),
      requestKey: key,
      requestKeyUntilMs: key === null ? null : this.#later(),
    };
    const { job: stored, isNew } = await store.createJob(job);
    const expected = this.#model.createJob(job);
    assert.deepEqual([plain(stored), isNew], [plain(expected.job), expected.isNew]);
  }

  /** Several chunks at once, some of them twice. */
  async #commit(store: JobStore): Promise<void> {
    const job = this.#anyJob();
    if (job === null || job.chunks === 0) return;
    const chunks = Array.from({ length: this.#random.int(1, 4) }, (_, at) => ({
      index: this.#random.int(0, job.chunks - 1),
      at,
    }));
    const own = chunks.filter(({ index, at }) => chunks.findIndex((c) => c.index === index) === at);
    const all = await Promise.all(
      own.map(async ({ index }) => await store.commit(job.id, resultsOf(index, index))),
    );
    const expected = own.map(({ index }) => this.#model.commit(job.id, resultsOf(index, index)));
    assert.deepEqual(all, expected);
    const [first] = own;
    if (first !== undefined)
      assert.equal(await store.commit(job.id, resultsOf(first.index, 9)), false);
    assert.deepEqual(
      plain(await store.job(job.id)),
      plain(this.#model.jobs.get(job.id)?.stored ?? null),
    );
    const from = this.#random.int(0, job.chunks);
    assert.equal(await store.nextUndone(job.id, from), this.#model.nextUndone(job.id, from));
  }

  async #changeJob(store: JobStore): Promise<void> {
    const job = this.#model.openJobs().at(0);
    if (job === undefined) return;
    await this.#change(store, {
      id: job.id,
      change: { state: "in_progress", startedAtMs: this.#nowMs },
    });
  }

  async #endJob(store: JobStore): Promise<void> {
    const open = this.#model.openJobs();
    if (open.length === 0) return;
    const { id, owner } = this.#random.pick(open);
    const outputFileId = this.#id("output");
    const output: DerivedFile = {
      ...newFile(outputFileId),
      owner,
      bytes: 7,
      lines: 1,
      expiresAtMs: this.#later(),
      of: { jobId: id, which: "output" },
    };
    const change = {
      state: "completed",
      outputFileId,
      endedAtMs: 1,
      expiresAtMs: this.#later(),
    } as const;
    await this.#change(store, { id, change, files: [output] });
  }

  async #change(
    store: JobStore,
    { id, change, files = [] }: { id: string; change: JobChange; files?: readonly DerivedFile[] },
  ): Promise<void> {
    const changed = await store.changeJob(id, () => change, files);
    assert.deepEqual(plain(changed), plain(this.#model.changeJob(id, change, files)));
  }

  async #remove(store: JobStore): Promise<void> {
    const job = this.#anyJob();
    if (job !== null && this.#random.chance(0.4)) {
      assert.equal(await store.deleteJob(job.id), this.#model.deleteJob(job.id));
      assert.equal(await store.results(job.id, 0), null);
      assert.equal(await store.job(job.id), null);
      return;
    }
    const used = new Set([...this.#model.jobs.values()].map(({ stored }) => stored.fileId));
    const free = [...this.#model.files.keys()].filter((id) => !used.has(id));
    const id = free.length === 0 ? "file-none" : this.#random.pick(free);
    assert.equal(await store.deleteFile(id), this.#model.deleteFile(id));
    assert.equal(await store.file(id), null);
  }

  async #expire(store: JobStore): Promise<void> {
    this.#nowMs += this.#random.int(0, 400);
    await store.removeExpired(this.#nowMs);
    this.#model.removeExpired(this.#nowMs);
    assert.equal(await store.removeExpired(this.#nowMs), 0);
  }

  async #page(store: JobStore): Promise<void> {
    const { files, jobs, places } = this.#model;
    const gone = [...places.files.keys(), ...places.jobs.keys()];
    const ids = [...files.keys(), ...jobs.keys(), ...gone];
    const after = ids.length > 0 && this.#random.chance(0.5) ? this.#random.pick(ids) : undefined;
    const query: PageQuery = {
      owner: this.#random.pick(owners),
      limit: this.#random.int(1, 4),
      order: this.#random.pick(["asc", "desc"]),
      ...(after === undefined ? {} : { after }),
    };
    const expectedFiles = this.#model.filesPage(query);
    assert.deepEqual(await pageOf(store.files(query)), expectedFiles?.map(plain) ?? null);
    assert.deepEqual(
      await pageOf(store.jobs(query)),
      this.#model.jobsPage(query)?.map(plain) ?? null,
    );
  }

  async #compareAll(store: JobStore): Promise<void> {
    const every = { owner: null, limit: 10_000 };
    assert.deepEqual(await pageOf(store.files(every)), this.#model.filesPage(every)?.map(plain));
    assert.deepEqual(await pageOf(store.jobs(every)), this.#model.jobsPage(every)?.map(plain));
    assert.deepEqual((await store.openJobs()).map(plain), this.#model.openJobs().map(plain));
    for (const [id, { stored, chunks }] of this.#model.files) {
      assert.deepEqual(plain(await store.file(id)), plain(stored));
      for (const [index, chunk] of chunks.entries()) {
        assert.deepEqual(plain(await store.chunk(id, index)), plain(chunk));
      }
      assert.equal(await store.chunk(id, chunks.length), null);
    }
    for (const [id, { stored, results }] of this.#model.jobs) {
      for (let index = 0; index < stored.chunks; index += 1) {
        assert.deepEqual(plain(await store.results(id, index)), plain(results.get(index) ?? null));
      }
      assert.equal(await store.nextUndone(id, 0), this.#model.nextUndone(id, 0));
    }
    for (let at = 1; at <= this.#made; at += 1) assert.equal(await store.file(`left-${at}`), null);
  }

  #anyJob(): { readonly id: string; readonly chunks: number } | null {
    const jobs = [...this.#model.jobs.values()];
    return jobs.length === 0 ? null : this.#random.pick(jobs).stored;
  }

  #id(kind: string): string {
    this.#made += 1;
    return `${kind}-${this.#made}`;
  }

  #later(): number {
    return this.#nowMs + this.#random.int(1, 2_000);
  }
}

/** Null: refused because of `after`. */
async function pageOf<T>(page: Promise<readonly T[]>): Promise<readonly unknown[] | null> {
  try {
    return (await page).map(plain);
  } catch (error) {
    if (error instanceof MillraceError && error.code === "bad_request" && error.param === "after")
      return null;
    throw error;
  }
}

/** Sequences are the store's own, and so is the class of its bytes. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, each]) =>
      key === "sequence" ? [] : [[key, plain(each)]],
    ),
  );
}
