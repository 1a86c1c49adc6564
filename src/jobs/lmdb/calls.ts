/** What the store asks of its thread: plain data, both ways. */
import type { OpenCount } from "../open-tally.js";
import type {
  Chunk,
  ChunkResults,
  DerivedFile,
  JobChange,
  LateFile,
  NewFile,
  NewJob,
  PageQuery,
  StoredFile,
  StoredJob,
} from "../store.js";
import type { DamagedValue } from "./tables.js";

/** A job and how often it was changed: who changes it says what they saw. */
export interface JobRecord {
  readonly job: StoredJob;
  readonly revision: number;
}

/** As it lies in its table: when, whether it is a `job`, a `file`, a `key` or a place in a list (places.ts), and which. */
export type Expiry = readonly [number, string, string];

export interface FileTotals {
  readonly bytes: number;
  readonly lines: number;
  readonly chunks: number;
}

export interface JobChanging {
  readonly id: string;
  readonly revision: number;
  readonly change: JobChange;
  readonly files: readonly DerivedFile[];
}

/** Each is done as a whole or not at all; those that come together are one transaction, and one sync. */
export interface Writes {
  beginFile(head: NewFile): null;
  addChunk(fileId: string, chunk: Chunk): null;
  finishFile(fileId: string, totals: FileTotals & LateFile): StoredFile;
  abortFile(fileId: string): null;
  deleteFile(id: string): boolean;
  createJob(job: NewJob): { readonly job: StoredJob; readonly isNew: boolean };
  /** Null: there is none. Not changed, where the revision is another one. */
  changeJob(
    changing: JobChanging,
  ): { readonly record: JobRecord; readonly isChanged: boolean } | null;
  deleteJob(id: string): boolean;
  commit(jobId: string, results: ChunkResults): boolean;
  keepTime(nowMs: number): null;
  /** Some of them, behind the one that was looked at last; `last`: the last of these, null where there are no others. */
  removeExpired(
    nowMs: number,
    after: Expiry | null,
  ): { readonly removed: number; readonly last: Expiry | null };
  /** Some of what is hidden already; true: there is more. */
  sweep(): boolean;
}

export interface Reads {
  file(id: string): StoredFile | null;
  files(query: PageQuery): readonly StoredFile[];
  chunk(fileId: string, index: number): Chunk | null;
  jobRecord(id: string): JobRecord | null;
  jobs(query: PageQuery): readonly StoredJob[];
  openJobs(): readonly StoredJob[];
  openCount(tenant: string): OpenCount;
  requestedJob(owner: string | null, requestKey: string): StoredJob | null;
  results(jobId: string, chunkIndex: number): ChunkResults | null;
  nextUndone(jobId: string, fromChunk: number): number;
  keptTime(): number;
}

/** One of the methods above and what it is called with. */
export type Call<Methods> = {
  readonly [Name in keyof Methods & string]: Methods[Name] extends (...args: infer Args) => unknown
    ? { readonly name: Name; readonly args: Args }
    : never;
}[keyof Methods & string];

export type Write = Call<Writes>;
export type Read = Call<Reads>;

/** It is refused where there is no room, and not repeated where nobody knows whether it was done; everything else may be tried again. */
export function isNewWork({ name }: Write): boolean {
  return (
    name === "beginFile" || name === "addChunk" || name === "finishFile" || name === "createJob"
  );
}

/** What was refused or failed is an error by itself; the others of its transaction are done. */
export type CallReply = { readonly value: unknown } | { readonly error: unknown };

export type StoreRequest =
  | { readonly type: "write"; readonly writes: readonly Write[] }
  | { readonly type: "read"; readonly id: number; readonly read: Read }
  | { readonly type: "close" };

export type StoreReply =
  | {
      readonly type: "opened";
      readonly bytes: number;
      readonly isUnswept: boolean;
      readonly damaged: readonly DamagedValue[];
    }
  | { readonly type: "refused"; readonly error: unknown }
  | {
      readonly type: "written";
      readonly replies: readonly CallReply[];
      readonly changedJobs: readonly string[];
      readonly bytes: number;
    }
  | { readonly type: "read"; readonly id: number; readonly reply: CallReply }
  /** Passed over, so that all else goes on; each is told once. */
  | { readonly type: "damaged"; readonly values: readonly DamagedValue[] }
  | { readonly type: "closed" };
