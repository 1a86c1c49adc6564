/**
 * Whether one more job may be made: as many may be open as the options say, and its lines must fit into what the caller's key has left.
 *
 *   request ─► lines are stored ─► enter ─► make: the store has the job, or what was taken is given back
 *                                    └─ refused: queue_full, rate_limited, quota_exceeded; nothing was taken
 *
 * Who has entered counts as an open job until the store counts it: requests at once cannot pass a limit together at one server. At several they can,
 * by as many as they are making just then.
 */
import { MillraceError } from "millrace-client/wire";
import type { Access, JobTaking, KeyAmount } from "../access/access.js";
import type { Options } from "../options/options.js";
import type { Caller } from "../work/caller.js";
import { Counts } from "../work/counts.js";
import type { KeyReturns } from "./key-returns.js";
import type { OpenCount } from "./open-tally.js";
import type { JobStore, NewJob } from "./store.js";

export interface JobDoorOptions {
  readonly store: Pick<JobStore, "openCount" | "createJob">;
  readonly keys: Pick<Access, "takeForJob">;
  readonly returns: Pick<KeyReturns, "unsure">;
  readonly options: Pick<Options, "jobsOpenMax" | "jobsTenantOpenMax">;
}

export interface EnteringJob {
  readonly caller: Caller;
  readonly tenant: string;
  readonly amount: KeyAmount;
}

type MadeJob = Awaited<ReturnType<JobStore["createJob"]>>;

export interface EnteredJob {
  /** Null: nobody counts. */
  readonly taken: JobTaking | null;
  /** Makes the job; what was taken is given back where none came of it. Once. */
  readonly make: (job: NewJob) => Promise<MadeJob>;
}

/** When some job may have ended; nobody knows. */
const retryAfterMs = 10_000;

export class JobDoor {
  readonly #options: JobDoorOptions;
  /** By tenant. */
  readonly #entering = new Counts();

  constructor(options: JobDoorOptions) {
    this.#options = options;
  }

  /** Before its lines are read: they may be gigabytes. @throws MillraceError `queue_full`, `job_store_failed` */
  async refuseFull(tenant: string): Promise<void> {
    this.#check(tenant, await this.#options.store.openCount(tenant));
  }

  /** @throws MillraceError as `refuseFull`, and `unauthenticated`, `rate_limited`, `quota_exceeded` */
  async enter({ caller, tenant, amount }: EnteringJob): Promise<EnteredJob> {
    const open = await this.#options.store.openCount(tenant);
    // In one turn with what is taken: whoever asked at the same time has the same number.
    this.#check(tenant, open);
    const taken = this.#options.keys.takeForJob(caller, amount);
    this.#entering.add(tenant, 1);
    return {
      taken,
      make: async (job) => {
        try {
          const made = await this.#options.store.createJob(job);
          if (!made.isNew) taken?.giveBack();
          return made;
        } catch (error) {
          const isUnsure = error instanceof MillraceError && error.code === "job_store_failed";
          if (taken !== null && isUnsure) this.#options.returns.unsure(job, taken.giveBack);
          else taken?.giveBack();
          throw error;
        } finally {
          this.#entering.add(tenant, -1);
        }
      },
    };
  }

  #check(tenant: string, { all, ofTenant }: OpenCount): void {
    const { jobsOpenMax, jobsTenantOpenMax } = this.#options.options;
    if (ofTenant + this.#entering.of(tenant) >= jobsTenantOpenMax) {
      throw full(`${jobsTenantOpenMax} jobs of this tenant`, "--jobs-tenant-open-max");
    }
    if (all + this.#entering.all >= jobsOpenMax) {
      throw full(`${jobsOpenMax} jobs`, "--jobs-open-max");
    }
  }
}

function full(what: string, option: string): MillraceError {
  const message = `${what} have not ended, which is as many as may be (${option}): wait for one to end, or cancel one.`;
  return new MillraceError("queue_full", message, { retryAfterMs });
}
