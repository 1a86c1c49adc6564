/**
 * The small things: heads of files and jobs, request keys, each the latest message of its subject, changed by compare-and-set. Beside
 * it an index in memory of what lists and clean-up need, fed by the stream itself, so by every server alike.
 *
 *   writing ─► file ─► gone            a file is seen by nobody while it is written
 *              job (open ─► ended ─► sealed: its progress is final) ─► gone
 *
 * What is deleted leaves `gone` for an hour: it tells the other servers, and that its chunks or results are to be taken away.
 */
import { randomUUID } from "node:crypto";
import { JetStreamApiCodes, JetStreamApiError, type JsMsg } from "@nats-io/jetstream";
import { MillraceError } from "millrace-client/wire";
import { natsHeaders } from "../../nats/headers.js";
import { OpenTally } from "../open-tally.js";
import {
  freshJob,
  hasEnded,
  type JobProgress,
  type ListPlace,
  type NewJob,
  type StoredFile,
  type StoredJob,
} from "../store.js";
import type { SequenceRange } from "./bodies.js";
import type { Names, RecordKind } from "./names.js";
import type { Nats, StoreSession } from "./session.js";

export interface KeptJob {
  readonly is: "job";
  /** Null in its first message, whose own sequence it is. */
  readonly sequence: number | null;
  readonly job: Omit<StoredJob, "sequence" | "progress">;
  /** No result of it is before this one of the stream of results. */
  readonly resultsFrom: number;
  /** Files that are made of its results. */
  readonly derived: readonly string[];
  /** Each of its chunks was in the work queue, or had its results. */
  readonly isLaidOut: boolean;
  /** Once it has ended: results behind the fence do not count. */
  readonly sealed: { readonly fence: number; readonly progress: JobProgress } | null;
}

export interface FileRecord {
  readonly is: "file";
  /** As of a job; absent in its first message. */
  readonly sequence?: number;
  readonly file: Omit<StoredFile, "sequence">;
  /** Of its chunks in their stream; null: it has none. */
  readonly range: SequenceRange | null;
}

/** Who writes it says so again and again; who stops doing so has died. */
export interface WritingRecord {
  readonly is: "writing";
  readonly beat: number;
}

export interface RequestKeyRecord {
  readonly is: "key";
  /** The job that the request made, or is about to make. */
  readonly job: KeptJob;
  readonly untilMs: number;
}

export interface TimeRecord {
  readonly is: "time";
  readonly ms: number;
}

export interface GoneRecord {
  readonly is: "gone";
  /** Where it was in the lists; absent of what was in none. */
  readonly place?: ListPlace;
}

export type StoreRecord =
  | KeptJob
  | FileRecord
  | WritingRecord
  | RequestKeyRecord
  | TimeRecord
  | GoneRecord;

export interface FoundRecord<Kind extends StoreRecord = StoreRecord> {
  readonly record: Kind;
  readonly revision: number;
}

/** Which write a message is of: an answer that never came is found again by it. */
const writeHeader = "Millrace-Write";

export class Records {
  readonly #session: StoreSession;
  readonly #names: Names;

  constructor(session: StoreSession, names: Names) {
    this.#session = session;
    this.#names = names;
  }

  async get(kind: RecordKind, id: string): Promise<FoundRecord | null> {
    return await this.#session.run((nats) => this.#read(nats, this.#names.record(kind, id)));
  }

  /**
   * Gives the new revision; null: it is not at `expected` any more (0: it never was).
   *
   * @throws MillraceError `body_too_large`, `job_store_failed`, `job_store_full`
   */
  async put(
    at: { readonly kind: RecordKind; readonly id: string; readonly expected: number },
    record: StoreRecord,
  ): Promise<number | null> {
    const subject = this.#names.record(at.kind, at.id);
    const text = JSON.stringify(record);
    const bytesMax = this.#session.messageBytesMax - 1024;
    if (Buffer.byteLength(text) > bytesMax) {
      const message = `what is said of the ${at.kind} takes more than ${bytesMax} bytes`;
      throw new MillraceError("body_too_large", message);
    }
    const write = randomUUID();
    return await this.#session.run(async ({ js, jsm }) => {
      try {
        const stored = await js.publish(subject, text, {
          headers: natsHeaders({ [writeHeader]: write }),
          expect: { lastSubjectSequence: at.expected },
        });
        return stored.seq;
      } catch (error) {
        if (!isOutrun(error)) throw error;
        const there = await jsm.streams.getMessage(this.#names.records, { last_by_subj: subject });
        return there?.header.get(writeHeader) === write ? there.seq : null;
      }
    });
  }

  /** Without a trace. False: it was gone already. */
  async erase(revision: number): Promise<boolean> {
    return await this.#session.run(async ({ jsm }) => {
      try {
        return await jsm.streams.deleteMessage(this.#names.records, revision, false);
      } catch (error) {
        if (error instanceof JetStreamApiError && error.status !== 503) return false;
        throw error;
      }
    });
  }

  /** The last message of the stream is one that is there, whatever was erased: who waits for it waits not for nothing. */
  async touch(): Promise<void> {
    const subject = this.#names.record("meta", "touched");
    await this.#session.run(({ js }) => js.publish(subject, '{"is":"gone"}'));
  }

  async lastSequence(): Promise<number> {
    const info = await this.#session.run(({ jsm }) => jsm.streams.info(this.#names.records));
    return info.state.last_seq;
  }

  async #read({ jsm }: Nats, subject: string): Promise<FoundRecord | null> {
    // Of the leader: a replica may be behind what was acknowledged.
    const message = await jsm.streams.getMessage(this.#names.records, { last_by_subj: subject });
    if (message === null) return null;
    const record = readRecord(message.string());
    if (record === null) {
      throw new MillraceError("job_store_failed", `${subject} in the job store is damaged`);
    }
    return { record, revision: message.seq };
  }
}

function isOutrun(error: unknown): boolean {
  return (
    error instanceof JetStreamApiError &&
    (error.code === JetStreamApiCodes.StreamWrongLastSequence ||
      error.code === JetStreamApiCodes.StreamWrongLastSequenceUnknown)
  );
}

function readRecord(text: string): StoreRecord | null {
  try {
    const value: unknown = JSON.parse(text);
    const isOurs = typeof value === "object" && value !== null && "is" in value;
    return isOurs ? (value as StoreRecord) : null;
  } catch {
    return null;
  }
}

/** What a server keeps in memory of each. */
export interface JobEntry {
  readonly id: string;
  readonly revision: number;
  readonly sequence: number;
  readonly owner: string | null;
  readonly fileId: string;
  readonly chunks: number;
  /** The whole record, while it is open. */
  readonly open: FoundRecord<KeptJob> | null;
  readonly expiresAtMs: number | null;
  readonly resultsFrom: number;
  readonly derived: readonly string[];
  readonly fence: number | null;
}

export interface FileEntry {
  readonly id: string;
  readonly revision: number;
  readonly sequence: number;
  readonly owner: string | null;
  readonly isInternal: boolean;
  readonly createdAtMs: number;
  readonly expiresAtMs: number | null;
  readonly jobId: string | null;
  readonly chunks: number;
}

interface Seen {
  readonly revision: number;
  readonly seenAtMs: number;
}

export interface GoneEntry extends Seen {
  readonly kind: RecordKind;
  readonly id: string;
  readonly place: ListPlace | null;
}

/** Of a server that asks for what it needs: what it asked for lately. */
const askedMax = 4_096;

export class RecordIndex {
  readonly jobs: Map<string, JobEntry> = new Map();
  readonly files: Map<string, FileEntry> = new Map();
  readonly writing: Map<string, Seen> = new Map();
  readonly keys: Map<string, { readonly revision: number; readonly untilMs: number }> = new Map();
  readonly gone: Map<string, GoneEntry> = new Map();
  /** By tenant. */
  readonly open: OpenTally = new OpenTally();
  readonly #names: Names;
  readonly #entriesMax: number;

  /** `hearsAll`: nothing is forgotten, for it is all that lists and clean-up see. */
  constructor(names: Names, { hearsAll }: { readonly hearsAll: boolean }) {
    this.#names = names;
    this.#entriesMax = hearsAll ? Number.POSITIVE_INFINITY : askedMax;
  }

  clear(): void {
    for (const map of [this.jobs, this.files, this.writing, this.keys, this.gone]) map.clear();
    this.open.clear();
  }

  /** Gives the id of the job that changed, if one did. */
  take(message: JsMsg): string | null {
    const [, kind, id] = this.#names.tokens(message.subject);
    const record = readRecord(message.string());
    if (id === undefined || record === null) return null;
    if (kind !== "job" && kind !== "file" && kind !== "key") return null;
    return this.apply(kind, id, { record, revision: message.seq });
  }

  /** What this server wrote itself, at once; what comes again changes nothing. */
  apply(kind: RecordKind, id: string, { record, revision }: FoundRecord): string | null {
    const maps = { job: this.jobs, file: this.files, key: this.keys, meta: null };
    const writing = kind === "file" ? this.writing.get(id) : undefined;
    const known = maps[kind]?.get(id) ?? this.gone.get(`${kind}.${id}`) ?? writing;
    if (known !== undefined && known.revision >= revision) return null;
    if (record.is !== kind) maps[kind]?.delete(id);
    this.gone.delete(`${kind}.${id}`);
    if (kind === "file") this.writing.delete(id);
    const seen = { revision, seenAtMs: performance.now() };
    if (record.is === "gone") {
      this.gone.set(`${kind}.${id}`, { ...seen, kind, id, place: record.place ?? null });
    } else if (record.is === "writing") this.writing.set(id, seen);
    else if (record.is === "key") this.keys.set(id, { revision, untilMs: record.untilMs });
    else if (record.is === "file") this.files.set(id, fileEntry(record, revision));
    else if (record.is === "job") this.jobs.set(id, jobEntry(record, revision));
    if (kind === "job")
      this.open.see(id, record.is === "job" && !hasEnded(record.job) ? record.job.tenant : null);
    for (const map of [this.jobs, this.files, this.gone, this.keys, this.writing]) {
      for (const oldest of map.keys()) {
        if (map.size <= this.#entriesMax) break;
        map.delete(oldest);
        if (map === this.jobs) this.open.see(oldest, null);
      }
    }
    return kind === "job" ? id : null;
  }
}

function fileEntry({ file, sequence: first }: FileRecord, revision: number): FileEntry {
  const sequence = first ?? revision;
  const { id, owner, isInternal, createdAtMs, expiresAtMs, chunks, of } = file;
  const jobId = of === null ? null : of.jobId;
  const times = { createdAtMs, expiresAtMs };
  return { id, revision, sequence, owner, isInternal, ...times, jobId, chunks };
}

function jobEntry(record: KeptJob, revision: number): JobEntry {
  const { job, sequence, resultsFrom, derived, sealed } = record;
  return {
    id: job.id,
    revision,
    sequence: sequence ?? revision,
    owner: job.owner,
    fileId: job.fileId,
    chunks: job.chunks,
    open: hasEnded(job) ? null : { record, revision },
    expiresAtMs: job.expiresAtMs,
    resultsFrom,
    derived,
    fence: sealed === null ? null : sealed.fence,
  };
}

/** A job as it is made. */
export function newKeptJob(
  job: NewJob,
  file: Pick<StoredFile, "lines" | "chunks">,
  resultsFrom: number,
): KeptJob {
  return {
    is: "job",
    sequence: null,
    job: {
      ...job,
      lines: file.lines,
      chunks: file.chunks,
      ...freshJob,
    },
    resultsFrom,
    derived: [],
    isLaidOut: false,
    sealed: null,
  };
}
