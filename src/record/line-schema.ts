/**
 * What a line of a recording must be: it may be of a damaged file, or of another hand. Whoever replays it reckons with its numbers, so that
 * none is larger than a server's can be, and nothing costs nothing.
 */
import { type RecordLine, recordFormat, recordSecondsMax } from "millrace-client/wire";
import { z } from "zod";

/** A recording takes a day at most; what it tells of may have begun before. */
const msMax = 2_000 * recordSecondsMax;

const amount = z.number().nonnegative().max(Number.MAX_SAFE_INTEGER);
const positive = z.number().positive().max(Number.MAX_SAFE_INTEGER);
const ms = z.number().nonnegative().max(msMax);
const count = z.number().int().nonnegative();
/** Pipelines and models of a server: what is planned goes through all calls for each of them. */
const namesMax = 1_024;
const workClass = z.enum(["realtime", "bulk"]);
const kind = z.enum(["realtime", "bulk", "shared"]);
const atMs = z.number().min(-msMax).max(msMax);

const head = z.object({
  type: z.literal("head"),
  format: z.literal(recordFormat),
  version: z.number().int().positive(),
  startedAtMs: amount,
  millrace: z.string(),
  machine: z.object({ cores: positive, threads: z.number().int().positive(), memoryBytes: amount }),
  options: z.object({
    policy: z.string(),
    realtimeTargetMs: amount,
    ageLimitMs: amount,
    prefetchRows: count,
    queuedItemsMax: count,
    queuedBytesMax: amount,
    bulkThreshold: count,
  }),
  pipelines: z
    .array(
      z.object({
        pipelineId: z.string(),
        kind,
        modelMemoryBytesMax: amount,
        resident: z.array(z.string()).max(namesMax),
      }),
    )
    .min(1)
    .max(namesMax),
  models: z
    .array(
      z.object({
        model: z.string(),
        engine: z.enum(["generation", "staged"]),
        mode: z.enum(["continuous", "one-shot"]),
        keep: z.enum(["pinned", "preloaded", "on-demand"]),
        bytes: amount,
        loadMs: ms,
        rowsMax: z.number().int().positive(),
        runRowsMax: z.number().int().positive().nullable(),
        learned: z.record(z.string(), z.object({ perRunMs: ms, perUnitMs: ms })),
      }),
    )
    .max(namesMax),
  openRequests: count,
});

const sizes = [positive, positive, positive, z.number().int().positive()] as const;
const items = z.union([z.tuple(sizes), z.tuple([...sizes, z.string()])]);

const request = z.object({
  type: z.literal("request"),
  id: count,
  atMs,
  prepareMs: ms,
  model: z.string(),
  task: z.string(),
  class: workClass,
  tenant: z.string(),
  deadlineMs: z.number().nullable(),
  isDeadlineNamed: z.boolean(),
  inputs: count,
  bytes: amount,
  itemBytes: amount,
  items: z.array(items),
});

const runs = z.object({
  type: z.literal("runs"),
  atMs,
  pipelineId: z.string(),
  model: z.string(),
  busyMs: ms,
  stages: z.array(
    z.object({
      stage: z.string(),
      runs: amount,
      rows: amount,
      units: amount,
      paddedUnits: amount,
      ms,
      sizes: z.array(z.tuple([amount, amount, ms])),
    }),
  ),
});

const line = z.discriminatedUnion("type", [
  head,
  request,
  z.object({
    type: z.literal("end"),
    id: count,
    atMs,
    code: z.string().nullable(),
    failedInputs: count,
  }),
  z.object({
    type: z.literal("refused"),
    atMs,
    model: z.string().nullable(),
    class: workClass.nullable(),
    bytes: amount,
    code: z.string(),
  }),
  runs,
  z.object({ type: z.literal("down"), atMs, pipelineId: z.string() }),
  z.object({ type: z.literal("time"), atMs, openRequests: count }),
  z.object({ type: z.literal("left-out"), atMs, lines: count }),
  z.object({
    type: z.literal("closed"),
    atMs,
    why: z.enum(["time", "stopping", "size", "interrupted", "lost"]),
  }),
]);

/** The line, or where it is none. */
export function readRecordLine(
  value: unknown,
): { readonly line: RecordLine } | { readonly problem: string } {
  const read = line.safeParse(value);
  if (read.success) return { line: read.data as RecordLine };
  const [issue] = read.error.issues;
  return { problem: `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not one of its lines"}` };
}
