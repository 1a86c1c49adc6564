/**
 * What everything is called in NATS, and what its streams promise.
 *
 *   <prefix>-records   <prefix>.record.<kind>.<id>          the latest one each, changed by compare-and-set
 *   <prefix>-chunks    <prefix>.chunk.<file>.<index>        bytes of files
 *                      <prefix>.part.<owner>.<index>.<write>.<n>   the rest of what is larger than a message may be
 *   <prefix>-results   <prefix>.result.<job>.<index>        one each, and the first one stays: results exactly once
 *                      <prefix>.fence.<job>                 the job ended: what is behind it counts no more
 *   <prefix>-work      <prefix>.work.<tenant>.<job>.<what>  what is to be run (jetstream-queue.ts)
 */
import { createHash } from "node:crypto";
import { DiscardPolicy, RetentionPolicy, StorageType, type StreamConfig } from "@nats-io/jetstream";

export type RecordKind = "job" | "file" | "key" | "meta";

export class Names {
  readonly records: string;
  readonly chunks: string;
  readonly results: string;
  readonly work: string;
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
    this.records = `${prefix}-records`;
    this.chunks = `${prefix}-chunks`;
    this.results = `${prefix}-results`;
    this.work = `${prefix}-work`;
  }

  record(kind: RecordKind, id: string): string {
    return `${this.#prefix}.record.${kind}.${id}`;
  }

  chunk(fileId: string, index: number | ">"): string {
    return `${this.#prefix}.chunk.${fileId}.${index}`;
  }

  /** Where the rest of a large message of this file or job is. */
  parts(ownerId: string, write?: string): string {
    return `${this.#prefix}.part.${ownerId}.${write === undefined ? ">" : write}`;
  }

  result(jobId: string, index: number | ">"): string {
    return `${this.#prefix}.result.${jobId}.${index}`;
  }

  fence(jobId: string): string {
    return `${this.#prefix}.fence.${jobId}`;
  }

  /** Of one tenant; of one of its jobs; of one thing to do. */
  workOf(tenant: string, jobId?: string, what?: string): string {
    const tokens = [this.#prefix, "work", tenantToken(tenant), jobId, what];
    const given = tokens.filter((token) => token !== undefined);
    return given.length < tokens.length ? `${given.join(".")}.>` : given.join(".");
  }

  workOfToken(token: string): string {
    return `${this.#prefix}.work.${token}.>`;
  }

  /** Not kept: whoever has chunks of it in hand listens here (held-jobs.ts). */
  workHeld(jobId: string): string {
    return `${this.#prefix}.work-held.${jobId}`;
  }

  /** What a subject of ours ends with, behind the word that says what it is. */
  tokens(subject: string): readonly string[] {
    return subject.slice(this.#prefix.length + 1).split(".");
  }

  /** Not kept: that there is new work of a tenant, whose token it says. */
  get workTold(): string {
    return `${this.#prefix}.work-told`;
  }

  streams(replicas: number): readonly (Partial<StreamConfig> & { readonly name: string })[] {
    const prefix = this.#prefix;
    const kept = {
      storage: StorageType.File,
      num_replicas: replicas,
      max_msgs_per_subject: 1,
      deny_delete: false,
    };
    const firstStays = { discard: DiscardPolicy.New, discard_new_per_subject: true };
    const direct = { allow_direct: true };
    return [
      { ...kept, name: this.records, subjects: [`${prefix}.record.>`] },
      {
        ...kept,
        ...direct,
        name: this.chunks,
        subjects: [`${prefix}.chunk.>`, `${prefix}.part.>`],
      },
      {
        ...kept,
        ...direct,
        ...firstStays,
        name: this.results,
        subjects: [`${prefix}.result.>`, `${prefix}.fence.>`],
      },
      {
        ...kept,
        ...firstStays,
        name: this.work,
        retention: RetentionPolicy.Workqueue,
        subjects: [`${prefix}.work.>`],
      },
    ];
  }
}

/** Ids are tokens of subjects: anything else is nobody's id. */
export function isId(id: string): boolean {
  return /^[A-Za-z0-9_-]{1,128}$/.test(id);
}

/** A tenant's name may hold anything; a long one is known by its hash. */
export function tenantToken(tenant: string): string {
  const token = Buffer.from(tenant, "utf8").toString("base64url");
  return `t${token.length <= 64 ? token : createHash("sha256").update(tenant).digest("base64url")}`;
}

export function isTenantToken(token: string): boolean {
  return /^t[A-Za-z0-9_-]{0,64}$/.test(token);
}

export function keyToken(owner: string | null, requestKey: string): string {
  return createHash("sha256")
    .update(JSON.stringify([owner, requestKey]))
    .digest("base64url");
}
