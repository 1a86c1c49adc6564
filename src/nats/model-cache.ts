/**
 * The models that this server fetches: which versions it should have, and which lie in its folder, whole.
 *
 *   DIR/models/NAME@VERSION   a version, fetched and found right
 *   DIR/used/NAME@VERSION     touched each minute by every server that serves it: servers may share the folder
 *   DIR/index.json            what the store said last: with it a server starts while NATS is away
 *
 *   listing ─► wanted ─► missing ones fetched ─► told to whoever serves ─► what nobody uses is removed
 *
 * A store that is away, lost or empty takes nothing away: what is here is served on. Of a store that was made anew only what it says itself
 * is news (kept-index.ts). What was removed from a store that still stands is removed here.
 */
import { readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { NatsConnection } from "@nats-io/transport-node";
import { MillraceError } from "millrace-client/wire";
import { makeFolders } from "../platform/make-folders.js";
import { messageOf } from "../work/thrown.js";
import type { NatsLink, NatsLog } from "./connection.js";
import { fetchModel, whatIsWrong } from "./fetch-model.js";
import { type KeptIndex, keepIndex, merged, readIndex } from "./kept-index.js";
import { type BucketState, bucketSubjects, ModelBucket } from "./model-bucket.js";
import { fullName, type ModelRecord, parseName } from "./model-record.js";

export interface ModelCacheOptions {
  readonly link: NatsLink;
  readonly dir: string;
  /** `all`, or names and names with versions, with commas between. */
  readonly wanted: string;
  /** Between two looks; a change is heard of at once beside that. */
  readonly everyMs: number;
  /** How long NATS is waited for where nothing is kept. */
  readonly startMsMax: number;
  /** False: there are other models, and these may come later. */
  readonly isNeeded: boolean;
  readonly log: NatsLog;
}

/** What can be served now. */
export interface CachedModels {
  readonly folders: readonly string[];
  /** Name → the version that it means. */
  readonly defaults: ReadonlyMap<string, string>;
  /** What should be here and is not, with the reason. */
  readonly broken: readonly { readonly dir: string; readonly reason: string }[];
}

const touchEveryMs = 60_000;
/** Nobody has touched it for so long: nobody uses it. */
const unusedMs = 10 * 60_000;
const againMs = 200;
const retryMsMin = 5_000;
const retryMsMax = 10 * 60_000;

interface Failure {
  readonly reason: string;
  readonly againAtMs: number;
  readonly waitMs: number;
}

export class ModelCache implements AsyncDisposable {
  readonly #options: ModelCacheOptions;
  readonly #isWanted: (record: ModelRecord) => boolean;
  readonly #ending = new AbortController();
  readonly #stopListening: () => void;
  /** Versions whose files were found right since the start. */
  readonly #whole = new Set<string>();
  readonly #failed = new Map<string, Failure>();
  #index: KeptIndex | null;
  #models: CachedModels = { folders: [], defaults: new Map(), broken: [] };
  #bucket: { readonly connection: NatsConnection; readonly bucket: ModelBucket } | null = null;
  #state: BucketState | null = null;
  #heard: NatsConnection | null = null;
  #onChange: (() => Promise<void>) | null = null;
  #looking: Promise<void> | null = null;
  #isStale = false;
  #timer: NodeJS.Timeout | undefined;
  #touchedAtMs = -Infinity;
  #told: string | null = null;
  #shown: string | null = null;

  /**
   * Returns when the store has said what there is and that was fetched; where NATS is away, with what is kept.
   *
   * @throws MillraceError `option_invalid`; `not_ready` where it is needed, NATS is away, nothing is kept and `startMsMax` have passed
   */
  static async open(options: ModelCacheOptions): Promise<ModelCache> {
    const isWanted = wantedOf(options.wanted);
    for (const folder of ["models", "used"]) {
      await makeFolders(join(options.dir, folder));
    }
    const cache = new ModelCache(options, isWanted, await readIndex(options.dir));
    try {
      await cache.#begin();
      return cache;
    } catch (error) {
      await cache.close();
      throw error;
    }
  }

  private constructor(
    options: ModelCacheOptions,
    isWanted: (record: ModelRecord) => boolean,
    index: KeptIndex | null,
  ) {
    this.#options = options;
    this.#isWanted = isWanted;
    this.#index = index;
    this.#stopListening = options.link.listen({
      onConnected: (connection) => {
        // The library subscribes again by itself when the same connection is back.
        if (connection !== this.#heard) {
          this.#heard = connection;
          const callback = (): void => this.#lookSoon();
          connection.subscribe(bucketSubjects(options.link.prefix), { callback });
        }
        this.#lookSoon();
      },
    });
  }

  get models(): CachedModels {
    return this.#models;
  }

  /** From now on whoever serves is told of each change, and the next one waits until that is done. */
  follow(onChange: () => Promise<void>): void {
    this.#onChange = onChange;
    this.#lookSoon();
  }

  /** What is being fetched is given up, and leaves nothing. */
  async close(): Promise<void> {
    this.#stopListening();
    clearTimeout(this.#timer);
    this.#ending.abort(new MillraceError("draining", "the server is stopping"));
    await this.#looking;
    clearTimeout(this.#timer);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #begin(): Promise<void> {
    const { link, startMsMax, isNeeded } = this.#options;
    const late = AbortSignal.timeout(startMsMax);
    if (this.#index === null) await link.whenConnected(late).catch(() => {});
    await this.#look();
    // Where it comes and goes meanwhile, or does not answer.
    while (this.#index === null && !late.aborted && link.state !== "closed") {
      await delay(againMs);
      await this.#look();
    }
    this.#shown = this.#text();
    if (this.#index !== null || !isNeeded) return;
    const why = this.#told ?? `NATS is not there (${link.reason ?? "no answer"})`;
    throw new MillraceError("not_ready", `${why}, and no model that it had is kept here`);
  }

  #lookSoon(): void {
    if (this.#looking === null) void this.#look();
    else this.#isStale = true;
  }

  /** One after the other; what came meanwhile is looked at by the next. Never rejects. */
  #look(): Promise<void> {
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = null;
      if (this.#ending.signal.aborted) return;
      clearTimeout(this.#timer);
      const { everyMs } = this.#options;
      const nextMs = this.#isStale ? 0 : everyMs > 0 ? everyMs : touchEveryMs;
      this.#isStale = false;
      this.#timer = setTimeout(() => void this.#look(), nextMs);
      this.#timer.unref();
    });
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    try {
      const isNews = await this.#ask();
      if (isNews || this.#whole.size === 0 || this.#isDue()) await this.#bring();
      await this.#show();
      await this.#tidy();
      this.#told = null;
    } catch (error) {
      this.#tell(messageOf(error));
    }
  }

  /** The store, where it is there: whether it says something else than before. */
  async #ask(): Promise<boolean> {
    const { link } = this.#options;
    const { connected } = link;
    if (connected === null) return false;
    if (this.#bucket?.connection !== connected) {
      const bucket = await ModelBucket.find(connected, link.prefix);
      this.#bucket = bucket === null ? null : { connection: connected, bucket };
    }
    const state = (await this.#bucket?.bucket.state()) ?? null;
    if (state === null) {
      this.#bucket = null;
      this.#state = null;
      if (this.#index !== null && this.#index.records.length > 0) {
        throw new MillraceError(
          "not_ready",
          "NATS has no store of models any more: what was fetched is served on",
        );
      }
      this.#index ??= { madeAt: "", records: [], lost: [], defaults: {} };
      return false;
    }
    if (state.madeAt === this.#state?.madeAt && state.revision === this.#state.revision)
      return false;
    const listing = await this.#bucket?.bucket.list();
    if (listing === undefined) return false;
    for (const { name, reason } of listing.damaged)
      this.#options.log.warn({ name, reason }, "a record of the store is none");
    this.#index = merged(this.#index, { madeAt: state.madeAt, listing });
    await keepIndex(this.#options.dir, this.#index);
    this.#state = state;
    this.#failed.clear();
    return true;
  }

  /** Fetches what is wanted and not here. */
  async #bring(): Promise<void> {
    const index = this.#index;
    if (index === null) return;
    const wanted = [...index.records, ...index.lost].filter(this.#isWanted);
    const folders: string[] = [];
    const broken: { dir: string; reason: string }[] = [];
    const defaults = new Map<string, string>();
    for (const record of wanted) {
      this.#ending.signal.throwIfAborted();
      const reason = await this.#have(record);
      const dir = this.#folderOf(record);
      if (reason !== null) broken.push({ dir, reason });
      else folders.push(dir);
    }
    for (const [name, version] of Object.entries(index.defaults)) {
      const has = (its: string): boolean =>
        folders.includes(this.#folderOf({ name, version: its }));
      const before = this.#models.defaults.get(name);
      // One that could not be fetched is meant by nobody until it could.
      const meant = has(version) ? version : before;
      if (meant !== undefined && has(meant)) defaults.set(name, meant);
    }
    for (const name of missingNames(this.#options.wanted, wanted)) {
      broken.push({ dir: name, reason: "the store has no such model" });
    }
    // A version that was removed may come back, with other contents or when its folder has gone.
    const keys = new Set(wanted.map(keyOf));
    for (const key of this.#whole) if (!keys.has(key)) this.#whole.delete(key);
    this.#models = { folders, defaults, broken };
  }

  /** Tells who serves, where that is other than before. */
  async #show(): Promise<void> {
    const text = this.#text();
    if (this.#onChange === null || text === this.#shown) return;
    this.#shown = text;
    await this.#touch();
    await this.#onChange();
  }

  /** Null: its folder is there, and is right; else why not. */
  async #have(record: ModelRecord): Promise<string | null> {
    const name = fullName(record);
    const key = keyOf(record);
    if (this.#whole.has(key)) return null;
    const failure = this.#failed.get(key);
    if (failure !== undefined && performance.now() < failure.againAtMs) return failure.reason;
    const target = this.#folderOf(record);
    const { log } = this.#options;
    try {
      const isThere = (await stat(target).catch(() => null)) !== null;
      const wrong = isThere ? await whatIsWrong(record, target) : "it is not here";
      if (wrong !== null) {
        if (isThere)
          log.warn(
            { name, reason: wrong },
            "a model that was fetched is damaged; it is fetched again",
          );
        const bucket = this.#bucket?.bucket;
        if (bucket === undefined)
          throw new MillraceError("not_ready", `${wrong}, and NATS is away`);
        await rm(target, { recursive: true, force: true });
        await this.#fetch(bucket, record, target);
        log.info({ name }, "model fetched");
      }
      this.#whole.add(key);
      this.#failed.delete(key);
      return null;
    } catch (error) {
      const reason = messageOf(error);
      if (this.#ending.signal.aborted) return reason;
      const waitMs = Math.min(retryMsMax, 2 * (failure?.waitMs ?? retryMsMin / 2));
      this.#failed.set(key, { reason, waitMs, againAtMs: performance.now() + waitMs });
      log.warn({ name, reason }, "model not fetched");
      return reason;
    }
  }

  async #fetch(bucket: ModelBucket, record: ModelRecord, target: string): Promise<void> {
    const { signal } = this.#ending;
    try {
      await fetchModel(bucket, record, { target, signal });
    } catch (error) {
      // Another server that shares the folder was faster.
      const isThere = error instanceof MillraceError && error.code === "output_exists";
      if (!isThere || (await whatIsWrong(record, target)) !== null) throw error;
    }
  }

  #isDue(): boolean {
    const nowMs = performance.now();
    return [...this.#failed.values()].some(({ againAtMs }) => againAtMs <= nowMs);
  }

  async #tidy(): Promise<void> {
    if (performance.now() - this.#touchedAtMs < touchEveryMs) return;
    await this.#touch();
    const { dir } = this.#options;
    const used = new Set(this.#models.folders);
    for (const name of await readdir(join(dir, "models"))) {
      const folder = join(dir, "models", name);
      if (name.startsWith(".") || used.has(folder)) continue;
      const mark = await stat(join(dir, "used", name)).catch(() => null);
      if (mark !== null && Date.now() - mark.mtimeMs < unusedMs) continue;
      await rm(folder, { recursive: true, force: true });
      await rm(join(dir, "used", name), { force: true });
      this.#options.log.info({ name }, "a model that nobody uses is removed");
    }
  }

  async #touch(): Promise<void> {
    this.#touchedAtMs = performance.now();
    const now = new Date();
    for (const folder of this.#models.folders) {
      const mark = folder.replace(
        join(this.#options.dir, "models"),
        join(this.#options.dir, "used"),
      );
      await utimes(mark, now, now).catch(() => writeFile(mark, ""));
    }
  }

  /** Whatever is another one is news to who serves. */
  #text(): string {
    const { folders, defaults, broken } = this.#models;
    return JSON.stringify([folders, [...defaults], broken, [...this.#whole]]);
  }

  #folderOf(of: Pick<ModelRecord, "name" | "version">): string {
    return join(this.#options.dir, "models", fullName(of));
  }

  /** The same each time it is looked helps nobody. */
  #tell(reason: string): void {
    if (reason === this.#told || this.#ending.signal.aborted) return;
    this.#told = reason;
    this.#options.log.warn({ reason }, "the store of models cannot be read now");
  }
}

function wantedOf(wanted: string): (record: ModelRecord) => boolean {
  if (wanted === "all") return () => true;
  const names = wanted.split(",").map((each) => parseName(each.trim()));
  return ({ name, version }) =>
    names.some((each) => each.name === name && (each.version === null || each.version === version));
}

function missingNames(wanted: string, records: readonly ModelRecord[]): string[] {
  if (wanted === "all") return [];
  const known = new Set(records.flatMap((record) => [record.name, fullName(record)]));
  return wanted
    .split(",")
    .map((each) => each.trim())
    .filter((each) => !known.has(each));
}

function keyOf(record: ModelRecord): string {
  return `${fullName(record)} ${record.sha256}`;
}
