/** Durable jobs over a store in memory and a route that is made up: it says its texts in capitals. */
import { MillraceError, type ModelInfo } from "millrace-client/wire";
import { openAccess } from "#src/access/access.js";
import type { ChunkQueue } from "#src/jobs/chunk-queue.js";
import { type JobWork, type OpenJobsParts, openJobWork } from "#src/jobs/job-work.js";
import type { CallRoute, LineResult, RouteCall, RouteReply } from "#src/jobs/jobs.js";
import { LocalQueue } from "#src/jobs/local-queue.js";
import { hasEnded, type JobStore, type StoredJob } from "#src/jobs/store.js";
import { createLog } from "#src/log.js";
import { Metrics } from "#src/metrics/metrics.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { anyCaller } from "#src/work/caller.js";
import { MemoryJobStore } from "./memory-job-store.js";

export interface MadeWork extends JobWork, AsyncDisposable {
  readonly store: JobStore;
  readonly calls: RouteCall[];
  readonly views: { isDraining: boolean; models(): readonly ModelInfo[] };
}

type SeenWork = Pick<MadeWork, "jobs" | "store">;

export interface MadeOptions {
  readonly store?: JobStore;
  readonly queue?: ChunkQueue;
  readonly callRoute?: CallRoute;
  readonly runs?: boolean;
  readonly keeps?: boolean;
  readonly keys?: OpenJobsParts["keys"];
  readonly options?: Parameters<typeof resolveConfiguration>[0]["code"];
  /** Given each line of the log, as JSON. Default: nobody hears it. */
  readonly onLog?: (line: string) => void;
}

export async function made({
  store = new MemoryJobStore(),
  queue = new LocalQueue(store),
  callRoute = capitals,
  runs = true,
  keeps = true,
  keys = openAccess,
  options = {},
  onLog,
}: MadeOptions = {}): Promise<MadeWork> {
  const calls: RouteCall[] = [];
  const model = { name: "m", task: "translate" } as ModelInfo;
  const views = { isDraining: false, models: () => [model] };
  const work = await openJobWork({
    store,
    queue,
    runs,
    keys,
    keeps,
    options: resolveConfiguration({ code: { trial: "off", ...options } }).options,
    views,
    metrics: new Metrics(),
    log: createLog({
      log: "json",
      logLevel: onLog === undefined ? "silent" : "info",
      destination: { write: onLog ?? ((): void => {}) },
    }),
  });
  // As the listeners of a server do.
  const staying = setInterval(() => {}, 60_000);
  await work.start((call, signal) => {
    calls.push(call);
    return callRoute(call, signal);
  });
  const stop: JobWork["stop"] = async (how) => {
    clearInterval(staying);
    return await work.stop(how);
  };
  return {
    ...work,
    store,
    calls,
    views,
    stop,
    [Symbol.asyncDispose]: async () => {
      await stop({ drainMs: 0 });
    },
  };
}

/** A text that is `fails` fails alone. */
export function capitals(call: RouteCall): Promise<RouteReply> {
  const results = textsOf(call).map((each) =>
    each === "fails"
      ? { error: new MillraceError("item_failed", "told to fail").toWire() }
      : { text: each.toUpperCase() },
  );
  if (call.accept === "application/json") {
    return Promise.resolve({ status: 200, text: JSON.stringify({ model: "m", results }) });
  }
  const lines = results.map((result, index) => JSON.stringify({ index, ...result }));
  return Promise.resolve({ status: 200, text: `${lines.join("\n")}\n{"done":{}}\n` });
}

export async function* text(...parts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

export async function whenEnded({ jobs, store }: SeenWork, id: string): Promise<StoredJob> {
  const watching = new AbortController();
  try {
    return await new Promise<StoredJob>((resolve) => {
      const look = (job: StoredJob | null): void => {
        if (job !== null && hasEnded(job)) resolve(job);
      };
      jobs.watch(id, look, watching.signal);
      void store.job(id).then(look);
    });
  } finally {
    watching.abort();
  }
}

export async function linesOfAll(
  { jobs }: Pick<SeenWork, "jobs">,
  id: string,
  range: { readonly fromLine: number; readonly toLine?: number } = { fromLine: 0 },
): Promise<LineResult[]> {
  const all: LineResult[] = [];
  for await (const line of await jobs.results(anyCaller, id, range)) all.push(line);
  return all;
}

export async function contentOf({ jobs }: Pick<SeenWork, "jobs">, id: string): Promise<string> {
  const pieces: Uint8Array[] = [];
  for await (const piece of await jobs.content(anyCaller, id)) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

export function textsOf({ body }: RouteCall): readonly string[] {
  return (JSON.parse(Buffer.from(body).toString()) as { texts: string[] }).texts;
}
