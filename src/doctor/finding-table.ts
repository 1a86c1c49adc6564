/** Every finding, the worst first: the one table that the order of findings and the page in docs/doctor.md come from. */
export interface FindingEntry {
  /** When it is said. */
  readonly when: string;
  /** What mostly ends it. */
  readonly change: string;
}

function entry(when: string, change: string): FindingEntry {
  return { when, change };
}

export const findingTable: Readonly<Record<FindingCode, FindingEntry>> = {
  draining: entry("the server stops, and takes no new work", "send new work elsewhere"),
  "nats-away": entry(
    "NATS cannot be reached, so no node can be",
    "start nats-server, or correct `--nats`",
  ),
  "pipeline-restarts": entry(
    "worker processes ended and were started again; one that ended once is a notice",
    "what the reason names: memory, a model, who kills them",
  ),
  "model-load-fails": entry(
    "a model cannot be loaded",
    "mend what the reason names: `millrace inspect DIR`",
  ),
  "model-too-large": entry(
    "no pipeline has room for a model",
    "`--model-memory-bytes`, fewer `--pipelines`",
  ),
  "not-ready": entry(
    "the server serves nothing, and no other finding says why",
    "`/ready` and the log",
  ),
  "items-fail": entry(
    "items failed for reasons of the server's (`worker_lost`, `item_poison`, `internal`), or a hundredth of all for those of the model's",
    "keep the input for a bug report; see why workers end",
  ),
  "job-store-failed": entry(
    "durable jobs cannot be kept or read",
    "the folder of `--data`, or NATS",
  ),
  "job-store-full": entry(
    "jobs take 95% of what they may, or were refused for it",
    "`millrace jobs remove ID`, `--job-retention`, `--jobs-bytes-max`",
  ),
  "disk-slow": entry(
    "a commit of a job's results takes 200 ms and more",
    "put `--data` on a faster disk",
  ),
  "memory-short": entry(
    "less than a twentieth of the memory is left",
    "fewer `--pipelines`, less `--model-memory-bytes`",
  ),
  "model-thrashes": entry(
    "models are loaded in each other's place again and again",
    "`--model-memory-bytes`, `--preload`",
  ),
  "front-late": entry(
    "the event loop is busy and late: parsing bodies and writing replies takes a core",
    "smaller requests; edges (`--role edge`)",
  ),
  "connections-full": entry(
    "connections were refused, or nine of ten are taken",
    "clients that keep theirs; `--connections-max`",
  ),
  "node-silent": entry("a node has not been heard of for 3 s", "look at that machine"),
  "node-slow": entry(
    "a node lets wait three times as long as the others",
    "look at that machine: its pipelines, what else runs there",
  ),
  "pipeline-slow": entry(
    "a pipeline takes twice as long as the others for the same, or for a run than it foresaw",
    "look at that process: who else has its core",
  ),
  "cores-overcommitted": entry(
    "pipelines × threads are more than the cores, and all are at work",
    "`--pipelines`, `--threads`",
  ),
  "pipelines-split": entry(
    "pipelines of one class idle while the other class waits",
    "shared `--pipelines`",
  ),
  "policy-unfair": entry(
    "realtime waits behind bulk under another policy than Millrace's",
    "`--policy millrace`",
  ),
  "large-realtime": entry(
    "large requests are marked realtime, and those wait for each other",
    '`"class": "bulk"`, or none',
  ),
  "bulk-starves": entry(
    "bulk waits and is hardly begun, because realtime fills the pipelines",
    "more pipelines; mark less as realtime",
  ),
  "tenant-holds-queue": entry(
    "one tenant has seven tenths of what is queued, and others wait or are refused",
    "a rate for its key",
  ),
  "deadlines-short": entry(
    "requests ended at, or were refused for, the `timeoutMs` that their callers named",
    "a longer `timeoutMs`, or more pipelines",
  ),
  "callers-leave": entry(
    "three in ten requests are left by their callers before they have their results",
    "a longer time limit of the caller's, or more pipelines",
  ),
  "rate-limited": entry(
    "keys sent more than they may",
    "`ratePerSecond` and `quotaPerMonth` of the key",
  ),
  "queue-full": entry(
    "requests were refused because as much is queued as may be",
    "fewer requests in flight; more pipelines; `--queued-items-max`",
  ),
  "queue-grows": entry(
    "more arrives than is done, in both halves of the window",
    "more pipelines or nodes, or fewer requests",
  ),
  "prepare-slow": entry(
    "half of the time of requests goes to reading text or pictures, and pipelines wait for it",
    "smaller inputs; more servers in front",
  ),
  "batches-small": entry(
    "items wait and yet each run has a quarter of the rows that it could have",
    "inputs of one shape; `--rows-max`",
  ),
  "padding-heavy": entry(
    "two fifths of what pipelines compute is padding",
    "inputs of like length together; more of them at once",
  ),
  "pipelines-busy": entry(
    "all pipelines work all the time, and realtime waits longer than its target",
    "more pipelines, threads or nodes; int8",
  ),
  "readers-slow": entry(
    "half of the memory for replies waits for callers to read them",
    "callers that read; `--replies-bytes-max`",
  ),
  "one-at-a-time": entry(
    "requests have no other beside them, are small, and the next one follows the reply",
    "more requests, or more inputs a request",
  ),
  "requests-wrong": entry(
    "a tenth of the requests is refused, or of the items fails, for what callers sent",
    "the message of the error",
  ),
  "server-restarted": entry(
    "the server was started anew while it was looked at",
    "see the log of the run before",
  ),
};

export const findingCodes = Object.keys(findingTable) as readonly FindingCode[];

export type FindingCode =
  | "draining"
  | "nats-away"
  | "pipeline-restarts"
  | "model-load-fails"
  | "model-too-large"
  | "not-ready"
  | "items-fail"
  | "job-store-failed"
  | "job-store-full"
  | "disk-slow"
  | "memory-short"
  | "model-thrashes"
  | "front-late"
  | "connections-full"
  | "node-silent"
  | "node-slow"
  | "pipeline-slow"
  | "cores-overcommitted"
  | "pipelines-split"
  | "policy-unfair"
  | "large-realtime"
  | "bulk-starves"
  | "tenant-holds-queue"
  | "deadlines-short"
  | "callers-leave"
  | "rate-limited"
  | "queue-full"
  | "queue-grows"
  | "prepare-slow"
  | "batches-small"
  | "padding-heavy"
  | "pipelines-busy"
  | "readers-slow"
  | "one-at-a-time"
  | "requests-wrong"
  | "server-restarted";
