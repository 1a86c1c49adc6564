/** What a line of a recording must be: it may be of a damaged file, or of another hand. */
import { type RecordLine, recordFormat } from "millrace-client/wire";
import { z } from "zod";

const amount = z.number().nonnegative();
const count = z.number().int().nonnegative();
const workClass = z.enum(["realtime", "bulk"]);
const kind = z.enum(["realtime", "bulk", "shared"]);
const atMs = z.number();

const head = z.object({
  type: z.literal("head"),
  format: z.literal(recordFormat),
  version: z.number().int().positive(),
  startedAtMs: amount,
  millrace: z.string(),
  machine: z.object({ cores: amount, threads: count, memoryBytes: amount }),
  options: z.object({
    policy: z.string(),
    realtimeTargetMs: amount,
    ageLimitMs: amount,
    prefetchRows: count,
    queuedItemsMax: count,
    queuedBytesMax: amount,
    bulkThreshold: count,
  }),
  pipelines: z.array(
    z.object({
      pipelineId: z.string(),
      kind,
      modelMemoryBytesMax: amount,
      resident: z.array(z.string()),
    }),
  ),
  models: z.array(
    z.object({
      model: z.string(),
      engine: z.enum(["generation", "staged"]),
      mode: z.enum(["continuous", "one-shot"]),
      keep: z.enum(["pinned", "preloaded", "on-demand"]),
      bytes: amount,
      loadMs: amount,
      rowsMax: z.number().int().positive(),
      runRowsMax: z.number().int().positive().nullable(),
      learned: z.record(z.string(), z.object({ perRunMs: amount, perUnitMs: amount })),
    }),
  ),
  openRequests: count,
});

const sizes = [amount, amount, amount, z.number().int().positive()] as const;
const items = z.union([z.tuple(sizes), z.tuple([...sizes, z.string()])]);

const request = z.object({
  type: z.literal("request"),
  id: count,
  atMs,
  prepareMs: amount,
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
  busyMs: amount,
  stages: z.array(
    z.object({
      stage: z.string(),
      runs: amount,
      rows: amount,
      units: amount,
      paddedUnits: amount,
      ms: amount,
      sizes: z.array(z.tuple([amount, amount, amount])),
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
