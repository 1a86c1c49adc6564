/**
 * The store of models in NATS: two buckets that any tool for NATS can read.
 *
 *   KV  PREFIX-models        model/NAME/VERSION   the record: a version's files, each by its SHA-256 (model-record.ts)
 *                            default/NAME         the version that NAME means; moved by compare and set
 *   OBJ PREFIX-model-files   SHA-256              what is in such a file, once, however many versions have it
 *
 * Files come first and the record last: a push that dies leaves nothing that anybody sees. A file that no record names any more is
 * removed with the version that named it last. Whoever pushes the same file at that moment writes its entry anew, and both do so by compare and
 * set: either the one who removes sees that it changed, or the one who pushes sees that it is gone, and sends it again.
 */
import {
  AckPolicy,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
  type PubAck,
} from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import { type ObjectInfo, type ObjectStore, Objm } from "@nats-io/obj";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { MillraceError } from "millrace-client/wire";
import { messageOf } from "../work/thrown.js";
import {
  fullName,
  type ModelFile,
  type ModelRecord,
  parseRecord,
  recordText,
  type VersionName,
} from "./model-record.js";

export interface ModelBucketOptions {
  readonly prefix: string;
  /** Where it is made. */
  readonly replicas: number;
}

export interface ModelListing {
  readonly records: readonly ModelRecord[];
  /** Name → version. */
  readonly defaults: ReadonlyMap<string, string>;
  /** Records that are none, by what they are called, with the reason. */
  readonly damaged: readonly { readonly name: string; readonly reason: string }[];
}

/** While it is the same, nothing has changed. */
export interface BucketState {
  /** A bucket that was lost and made again has another one. */
  readonly madeAt: string;
  readonly revision: number;
}

/** A file is read so many chunks at a time, and no more than that is in memory. */
const chunksAtOnce = 32;
const chunkBytes = 128 * 1024;
/** A chunk that does not come for so long does not come. */
const chunkMsMax = 10_000;
const attemptsMax = 100;

export class ModelBucket {
  readonly #js: JetStreamClient;
  readonly #jsm: JetStreamManager;
  readonly #kv: KV;
  readonly #files: ObjectStore;
  readonly #recordsStream: string;
  readonly #filesBucket: string;

  private constructor(parts: {
    readonly js: JetStreamClient;
    readonly jsm: JetStreamManager;
    readonly kv: KV;
    readonly files: ObjectStore;
    readonly prefix: string;
  }) {
    this.#js = parts.js;
    this.#jsm = parts.jsm;
    this.#kv = parts.kv;
    this.#files = parts.files;
    this.#recordsStream = `KV_${recordsBucket(parts.prefix)}`;
    this.#filesBucket = `${parts.prefix}-model-files`;
  }

  /** Makes it where it is missing. @throws MillraceError `connection_failed` */
  static async open(
    connection: NatsConnection,
    { prefix, replicas }: ModelBucketOptions,
  ): Promise<ModelBucket> {
    return await told(async () => {
      const js = jetstream(connection);
      const jsm = await jetstreamManager(connection);
      const kv = await new Kvm(js).create(recordsBucket(prefix), { history: 1, replicas });
      const files = await new Objm(js).create(`${prefix}-model-files`, { replicas });
      return new ModelBucket({ js, jsm, kv, files, prefix });
    });
  }

  /** Null: nobody has pushed anything yet, or it was lost. */
  static async find(connection: NatsConnection, prefix: string): Promise<ModelBucket | null> {
    return await told(async () => {
      const js = jetstream(connection);
      const jsm = await jetstreamManager(connection);
      for (const stream of [`KV_${recordsBucket(prefix)}`, `OBJ_${prefix}-model-files`]) {
        if ((await unlessMissing(jsm.streams.info(stream))) === null) return null;
      }
      const kv = await new Kvm(js).open(recordsBucket(prefix));
      const files = await new Objm(js).open(`${prefix}-model-files`);
      return new ModelBucket({ js, jsm, kv, files, prefix });
    });
  }

  /** Null: it is gone. */
  async state(): Promise<BucketState | null> {
    return await told(async () => {
      const info = await unlessMissing(this.#jsm.streams.info(this.#recordsStream));
      if (info === null) return null;
      return { madeAt: String(info.created), revision: info.state.last_seq };
    });
  }

  /** By name, the newest version first. */
  async list(): Promise<ModelListing> {
    return await told(async () => {
      const keys: string[] = [];
      for await (const key of await this.#kv.keys()) keys.push(key);
      const records: ModelRecord[] = [];
      const defaults = new Map<string, string>();
      const damaged: { name: string; reason: string }[] = [];
      for (const key of keys.toSorted()) {
        const [kind, name = "", version = ""] = key.split("/");
        const entry = await this.#kv.get(key);
        if (entry === null || entry.operation !== "PUT") continue;
        if (kind === "default") defaults.set(name, entry.string());
        if (kind !== "model") continue;
        try {
          records.push(parseRecord({ name, version }, entry.string()));
        } catch (error) {
          damaged.push({ name: `${name}@${version}`, reason: messageOf(error) });
        }
      }
      const newest = records.toSorted(
        (left, right) =>
          (left.name < right.name ? -1 : left.name > right.name ? 1 : 0) ||
          (left.pushedAt < right.pushedAt ? 1 : -1),
      );
      return { records: newest, defaults, damaged };
    });
  }

  /** @throws MillraceError `model_not_found` */
  async record(of: VersionName): Promise<ModelRecord> {
    return await told(async () => {
      const entry = await this.#kv.get(recordKey(of));
      if (entry !== null && entry.operation === "PUT") return parseRecord(of, entry.string());
      throw new MillraceError("model_not_found", `the store has no ${fullName(of)}`);
    });
  }

  /** Null: there is none. */
  async defaultOf(name: string): Promise<string | null> {
    return (await told(() => this.#default(name))).version;
  }

  /** False where the record was there already, with the same contents. @throws MillraceError `output_exists` where it has others */
  async create(record: ModelRecord): Promise<boolean> {
    const text = recordText(record);
    return await told(async () => {
      try {
        await this.#kv.create(recordKey(record), text);
        return true;
      } catch (error) {
        if (!isConflict(error)) throw error;
      }
      const there = await this.record(record);
      if (there.sha256 === record.sha256) return false;
      const message = `${fullName(record)} is there already, with other contents: a version stays what it is, so name another one`;
      throw new MillraceError("output_exists", message);
    });
  }

  /**
   * From the version that it is now, or the one that was read before (`expected`; null: none). @throws MillraceError `model_not_found`;
   * `output_in_use` where somebody else moved it meanwhile
   */
  async moveDefault(
    of: VersionName,
    expected?: string | null,
  ): Promise<{ readonly from: string | null }> {
    await this.record(of);
    return await told(async () => {
      const { version: from, revision } = await this.#default(of.name);
      const moved = (now: string | null): MillraceError =>
        new MillraceError(
          "output_in_use",
          `somebody else moved ${of.name} meanwhile: it means ${now ?? "nothing"} now`,
        );
      if (expected !== undefined && from !== expected) throw moved(from);
      try {
        if (from === null) await this.#kv.create(`default/${of.name}`, of.version);
        else await this.#kv.update(`default/${of.name}`, of.version, revision);
      } catch (error) {
        if (!isConflict(error)) throw error;
        throw moved((await this.#default(of.name)).version);
      }
      return { from };
    });
  }

  /** @throws MillraceError `model_not_found`, or `output_in_use` where it is the version that its name means */
  async remove(of: VersionName): Promise<{ readonly files: number; readonly bytes: number }> {
    const record = await this.record(of);
    return await told(async () => {
      const { version, revision } = await this.#default(of.name);
      const { records } = await this.list();
      const isLast = records.every(
        ({ name, version: its }) => name !== of.name || its === of.version,
      );
      if (version === of.version) {
        if (!isLast) throw isDefault(of);
        await this.#kv.delete(`default/${of.name}`, { previousSeq: revision });
      }
      const before = await this.#revisionsOf(record.files);
      await this.#kv.delete(recordKey(of));
      // It was made the default between the two: whoever did that saw the version, and gets it back.
      if ((await this.#default(of.name)).version === of.version) {
        await this.#kv.put(recordKey(of), recordText(record));
        throw isDefault(of);
      }
      const kept = new Set(
        (await this.list()).records.flatMap(({ files }) => files.map(({ sha256 }) => sha256)),
      );
      let removed = { files: 0, bytes: 0 };
      for (const [sha256, info] of before) {
        if (kept.has(sha256) || !(await this.#delete(info))) continue;
        removed = { files: removed.files + 1, bytes: removed.bytes + info.size };
      }
      return removed;
    });
  }

  /** Whether the file is there, whole as far as its entry says. Writes the entry anew, so that nobody removes it from now on unseen. */
  async holds({ sha256, bytes }: ModelFile): Promise<boolean> {
    return await told(async () => {
      for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
        const info = await this.#info(sha256);
        if (info === null || info.size !== bytes || info.digest !== digestOf(sha256)) return false;
        const ack = await this.#writeEntry(info, {});
        if (ack !== null) return (await this.#chunksOf(info)) === info.chunks;
      }
      throw new MillraceError("output_in_use", `${sha256} is written by others all the time`);
    });
  }

  /** @throws MillraceError `model_folder_invalid` where what was sent is not what the file should be */
  async send(file: ModelFile, contents: ReadableStream<Uint8Array>): Promise<void> {
    await told(async () => {
      const meta = { name: file.sha256, options: { max_chunk_size: chunkBytes } };
      const info = await this.#files.put(meta, contents);
      if (info.size === file.bytes && info.digest === digestOf(file.sha256)) return;
      await this.#files.delete(file.sha256);
      throw new MillraceError("model_folder_invalid", `${file.path} changed while it was sent`);
    });
  }

  /**
   * What is in the file, a piece at a time, the next when the one before was taken. Whoever takes it compares it with the hash.
   *
   * @throws MillraceError `model_folder_invalid`, which names the file, where it is not there or not whole
   */
  async *read(file: ModelFile, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const info = await told(() => this.#info(file.sha256));
    if (info === null) throw damagedFile(file, "is not there");
    if (info.size !== file.bytes) {
      throw damagedFile(file, `has ${info.size} bytes and should have ${file.bytes}`);
    }
    if (file.bytes === 0) return;
    const stream = `OBJ_${this.#filesBucket}`;
    const made = await told(() =>
      this.#jsm.consumers.add(stream, {
        ack_policy: AckPolicy.None,
        filter_subject: this.#chunks(info),
        // In nanoseconds: it goes by itself where whoever read is gone.
        inactive_threshold: 60e9,
        mem_storage: true,
        num_replicas: 1,
      }),
    );
    const consumer = await told(() => this.#js.consumers.get(stream, made.name));
    try {
      if (made.num_pending !== info.chunks) {
        throw damagedFile(file, `has ${made.num_pending} of its ${info.chunks} pieces`);
      }
      let leftBytes = file.bytes;
      for (let left = info.chunks; left > 0; ) {
        signal.throwIfAborted();
        const before = left;
        const messages = await told(() =>
          consumer.fetch({ max_messages: Math.min(left, chunksAtOnce), expires: chunkMsMax }),
        );
        for await (const { data } of messages) {
          left -= 1;
          leftBytes -= data.length;
          if (leftBytes < 0) throw damagedFile(file, "has more bytes than it should");
          yield data;
        }
        if (left === before) {
          throw new MillraceError("connection_failed", `NATS sends nothing more of ${file.path}`);
        }
      }
      if (leftBytes > 0) throw damagedFile(file, `lacks ${leftBytes} bytes`);
    } finally {
      await consumer.delete().catch(() => false);
    }
  }

  async #default(
    name: string,
  ): Promise<{ readonly version: string | null; readonly revision: number }> {
    const entry = await this.#kv.get(`default/${name}`);
    if (entry === null) return { version: null, revision: 0 };
    return { version: entry.operation === "PUT" ? entry.string() : null, revision: entry.revision };
  }

  async #revisionsOf(files: readonly ModelFile[]): Promise<ReadonlyMap<string, ObjectInfo>> {
    const found = new Map<string, ObjectInfo>();
    for (const { sha256 } of files) {
      const info = await this.#info(sha256);
      if (info !== null) found.set(sha256, info);
    }
    return found;
  }

  async #info(sha256: string): Promise<ObjectInfo | null> {
    const info = await this.#files.info(sha256);
    return info === null || info.deleted ? null : info;
  }

  /** False: somebody has written the entry since, who needs it. */
  async #delete(info: ObjectInfo): Promise<boolean> {
    const gone = { deleted: true, size: 0, chunks: 0, digest: "" };
    if ((await this.#writeEntry(info, gone)) === null) return false;
    await this.#jsm.streams.purge(`OBJ_${this.#filesBucket}`, { filter: this.#chunks(info) });
    return true;
  }

  /** As `@nats-io/obj` writes it, but by compare and set; null: it is not the one that was read any more. */
  async #writeEntry(info: ObjectInfo, changed: Partial<ObjectInfo>): Promise<PubAck | null> {
    const { name, bucket, nuid, size, chunks, digest, deleted, mtime, options } = info;
    const entry = { name, bucket, nuid, size, chunks, digest, deleted, mtime, options, ...changed };
    const subject = `$O.${this.#filesBucket}.M.${paddedBase64(Buffer.from(name))}`;
    const head = headers();
    head.set("Nats-Rollup", "sub");
    head.set("Nats-Expected-Last-Subject-Sequence", String(info.revision));
    try {
      return await this.#js.publish(subject, JSON.stringify(entry), { headers: head });
    } catch (error) {
      if (isConflict(error)) return null;
      throw error;
    }
  }

  async #chunksOf(info: ObjectInfo): Promise<number> {
    const subject = this.#chunks(info);
    const { state } = await this.#jsm.streams.info(`OBJ_${this.#filesBucket}`, {
      subjects_filter: subject,
    });
    return state.subjects?.[subject] ?? 0;
  }

  #chunks({ nuid }: Pick<ObjectInfo, "nuid">): string {
    return `$O.${this.#filesBucket}.C.${nuid}`;
  }
}

/** What a change of records and defaults is published under: whoever listens hears at once that it should look. */
export function bucketSubjects(prefix: string): string {
  return `$KV.${recordsBucket(prefix)}.>`;
}

function recordsBucket(prefix: string): string {
  return `${prefix}-models`;
}

function recordKey({ name, version }: VersionName): string {
  return `model/${name}/${version}`;
}

/** As `@nats-io/obj` writes it. */
function digestOf(sha256: string): string {
  return `SHA-256=${paddedBase64(Buffer.from(sha256, "hex"))}`;
}

function paddedBase64(bytes: Buffer): string {
  return bytes.toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}

function isDefault(of: VersionName): MillraceError {
  const message = `${fullName(of)} is what ${of.name} means: make another version the default first`;
  return new MillraceError("output_in_use", message);
}

function damagedFile({ path, sha256 }: ModelFile, what: string): MillraceError {
  const message = `${path} (${sha256}) ${what} in the store: push the model again`;
  return new MillraceError("model_folder_invalid", message);
}

function isConflict(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === 10071;
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === 10059) return null;
    throw error;
  }
}

/** What NATS refuses, or does not answer, in our words. */
async function told<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof MillraceError) throw error;
    // No room: the server's, the account's or the stream's.
    const isFull = error instanceof JetStreamApiError && [10023, 10047, 10077].includes(error.code);
    const message = `the store of models in NATS: ${messageOf(error)}`;
    throw new MillraceError(isFull ? "output_failed" : "connection_failed", message, {
      cause: error,
    });
  }
}
