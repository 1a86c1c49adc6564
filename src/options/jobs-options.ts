/** Options of durable jobs. */
import type { OptionRows } from "./definition.js";

export interface JobsOptions {
  /** Folder of what must survive; null: there are no durable jobs. */
  readonly data: string | null;
  readonly jobsBytesMax: number;
  readonly jobFileBytesMax: number;
  readonly jobsOpenMax: number;
  readonly jobsTenantOpenMax: number;
  /** In milliseconds. */
  readonly jobRetention: number;
  /** Null: nobody is called back. */
  readonly jobCallbackHosts: string | null;
  readonly jobCallbackSecret: string | null;
}

const MiB = 1024 ** 2;
const GiB = 1024 * MiB;
const TiB = 1024 * GiB;
const DAY_MS = 86_400_000;

const jobs = { group: "Jobs", hashed: false } as const;

export const jobsOptions: OptionRows<JobsOptions> = {
  data: {
    type: "path",
    what: "folder",
    ...jobs,
    help: "Folder for durable jobs: their input, results and state. Made where it is missing; one server at a time. None: there are no jobs, unless nats is given.",
    default: { value: null },
  },
  jobsBytesMax: {
    type: "integer",
    unit: "bytes",
    min: 16 * MiB,
    max: 16 * TiB,
    ...jobs,
    help: "Bytes that files and jobs may take in the store; then new ones are refused, and accepted ones are finished.",
    default: { value: 16 * GiB },
  },
  jobFileBytesMax: {
    type: "integer",
    unit: "bytes",
    min: 1,
    max: TiB,
    ...jobs,
    help: "Bytes of one uploaded file, or of one job's input.",
    default: { value: 4 * GiB },
  },
  jobsOpenMax: {
    type: "integer",
    unit: "jobs",
    min: 1,
    max: 1_000_000,
    ...jobs,
    help: "Jobs that have not ended, of all tenants; then new ones are refused (queue_full). Over NATS all servers count the same jobs.",
    default: { value: 10_000 },
  },
  jobsTenantOpenMax: {
    type: "integer",
    unit: "jobs",
    min: 1,
    max: 1_000_000,
    ...jobs,
    help: "Jobs of one tenant that have not ended, so that none takes the room of the others.",
    default: { value: 1_000 },
  },
  jobRetention: {
    type: "duration",
    minMs: 1_000,
    maxMs: 3_650 * DAY_MS,
    ...jobs,
    help: "How long a job and its results are kept once it has ended, and a file of results or an upload that no job reads: `30d`, `12h`, `90m`, `45s`.",
    default: { value: 30 * DAY_MS },
  },
  jobCallbackHosts: {
    type: "text",
    ...jobs,
    help: "Hosts that jobs may tell of their end (`callback`), with commas between, each with its port where that is not the usual one. None: nobody is called.",
    default: { value: null },
  },
  jobCallbackSecret: {
    type: "path",
    what: "file",
    ...jobs,
    help: "File with the secret that callbacks are signed with (HMAC-SHA256); needed with job-callback-hosts.",
    default: { value: null },
  },
};
