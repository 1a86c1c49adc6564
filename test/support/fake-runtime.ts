/**
 * A child that speaks the frames, has no model, and misbehaves on command: through magic tokens in items
 * (fake-tokens.ts) and through files in the model folder:
 *
 *   behaviour   one word: load-failed, never-loaded, dies-loading, early-result, chatty; read at each load
 *   release     ends every `hold`
 *
 * An item's "translation" is its tokens in reverse.
 */
import { existsSync, readFileSync, watch } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { FrameDecoder } from "#src/frames/codec.js";
import { encodeFrame } from "#src/frames/encode.js";
import type { ChildFrame, FrameItem, FrameOutcome } from "#src/frames/messages.js";
import { framesVersion } from "#src/frames/messages.js";
import { parseParentFrame } from "#src/frames/shapes.js";
import { framesFd, watchParent } from "#src/runtime/parent-watch.js";
import { generationPayload, hypothesesPayload, readGenerationInput } from "#src/work/generation.js";
import { int32List, type Payload } from "#src/work/payload.js";
import { magic } from "./fake-tokens.js";

// As on a system whose kernel kills no orphans.
if (process.env["FAKE_RUNTIME_WATCH"] === "thread") watchParent(() => false);
else watchParent();
const channel = new Socket({ fd: framesFd });
const decoder = new FrameDecoder(parseParentFrame);
const queue: FrameItem[][] = [];
const cancelled = new Set<number>();
let modelDir = "";
let model = "";
let running = false;

const send = (frame: ChildFrame): void => void channel.write(encodeFrame(frame));

channel.on("end", () => process.exit(0));
channel.on("data", (chunk: Buffer) => {
  for (const frame of decoder.push(chunk)) {
    if (frame.type === "load") load(frame);
    else if (frame.type === "unload")
      send({ type: "unloaded", model: frame.model, memoryBytes: 1_000_000 });
    else if (frame.type === "batch") {
      queue.push([...frame.items]);
      void run();
    } else if (frame.type === "cancel") cancel(frame.itemIds);
    else if (frame.type === "recall") send({ type: "recalled", itemIds: takeOut(frame.itemIds) });
    else process.exit(0);
  }
});
const version = Number(process.env["FAKE_RUNTIME_VERSION"] ?? framesVersion);
send({ type: "hello", version, pid: process.pid });

function load(frame: { readonly model: string; readonly modelDir: string }): void {
  ({ model, modelDir } = frame);
  const file = join(modelDir, "behaviour");
  const behaviour = existsSync(file) ? readFileSync(file, "utf8") : "";
  send({ type: "loading", model });
  if (behaviour === "never-loaded") return;
  if (behaviour === "dies-loading") process.kill(process.pid, "SIGSEGV");
  if (behaviour === "load-failed") {
    send({ type: "load-failed", model, code: "model_folder_invalid", message: "told to fail" });
    return;
  }
  if (behaviour === "early-result") send({ type: "items", outcomes: [outcomeOf(fakeItem(1))] });
  if (behaviour === "chatty") process.stderr.write("a line for the log\n");
  send({ type: "loaded", model, loads: 1, modelBytes: 1_000, memoryBytes: 1_000_000, ms: 1 });
}

/** Items in a run cannot be stopped, but no outcome of theirs may follow. */
function cancel(itemIds: readonly number[]): void {
  takeOut(itemIds);
  for (const itemId of itemIds) cancelled.add(itemId);
}

function takeOut(itemIds: readonly number[]): number[] {
  const wanted = new Set(itemIds);
  const taken: number[] = [];
  for (const batch of queue) {
    for (let at = batch.length - 1; at >= 0; at -= 1) {
      const id = batch[at]?.itemId ?? -1;
      if (!wanted.has(id)) continue;
      batch.splice(at, 1);
      taken.push(id);
    }
  }
  return taken;
}

async function run(): Promise<void> {
  if (running) return;
  running = true;
  for (let batch = queue.shift(); batch !== undefined; batch = queue.shift()) {
    if (batch.length === 0) continue;
    if (!batch.some((item) => tokensOf(item).includes(magic.unannounced))) announce(batch);
    for (const item of batch) await runItem(item);
  }
  running = false;
  const sizes = [{ rows: 1, runs: 1, ms: 1 }];
  const report = { stage: "fake", runs: 1, rows: 1, units: 1, paddedUnits: 1, ms: 1, sizes };
  send({ type: "report", model, stages: [report], cacheBytes: 0 });
}

function announce(batch: readonly FrameItem[]): void {
  const begunItemIds = batch.map(({ itemId }) => itemId);
  const cost = { rows: batch.length, width: 1, predictedMs: 1, memoryBytes: 1_000_000 };
  send({ type: "run", model, stage: "fake", begunItemIds, ...cost });
}

async function runItem(item: FrameItem): Promise<void> {
  for (const token of tokensOf(item)) await misbehave(token);
  if (cancelled.has(item.itemId)) return;
  send({ type: "items", outcomes: [outcomeOf(item)] });
  if (tokensOf(item).includes(magic.duplicateResult)) {
    send({ type: "items", outcomes: [outcomeOf(item)] });
  }
  if (tokensOf(item).includes(magic.unknownResult)) {
    send({ type: "items", outcomes: [outcomeOf(fakeItem(987_654_321))] });
  }
}

/** Frames already written must leave before the process ends, else the parent never heard of the run. */
async function misbehave(token: number): Promise<void> {
  if (token < magic.crash) return;
  await new Promise<void>((resolve) => channel.write(Buffer.alloc(0), () => resolve()));
  switch (token) {
    case magic.crash:
      return process.exit(3);
    case magic.segfault:
      process.kill(process.pid, "SIGSEGV");
      return never();
    case magic.outOfMemory:
      process.kill(process.pid, "SIGKILL");
      return never();
    case magic.talkative:
      return talk();
    case magic.manyBegun:
      announce(Array.from({ length: 1_000 }, (_, itemId) => fakeItem(itemId)));
      return never();
    case magic.exitZero:
      return process.exit(0);
    case magic.busyLoop:
      for (;;);
    case magic.sigstop:
      process.kill(process.pid, "SIGSTOP");
      return never();
    case magic.garbageBytes:
      channel.write(Buffer.alloc(11, 0xff));
      return never();
    case magic.silent:
    case magic.unannounced:
      return never();
    case magic.hold:
      return released();
    default:
  }
}

/** As fast as the parent reads. */
async function talk(): Promise<never> {
  const frame = encodeFrame({
    type: "run",
    model,
    stage: "fake",
    rows: 1,
    width: 1,
    predictedMs: 1,
    begunItemIds: [],
    memoryBytes: 1,
  });
  const many = Buffer.concat(Array.from({ length: 1_000 }, () => frame));
  for (;;) await new Promise<void>((resolve) => channel.write(many, () => resolve()));
}

function never(): Promise<never> {
  return new Promise(() => {});
}

function released(): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (!existsSync(join(modelDir, "release"))) return;
      watcher.close();
      resolve();
    };
    const watcher = watch(modelDir, look);
    look();
  });
}

function outcomeOf(item: FrameItem): FrameOutcome {
  const { itemId, payload } = item;
  const tokenIds = tokensOf(item);
  const nBest = readGenerationInput(payload)?.settings.nBest ?? 1;
  if (tokenIds.includes(magic.itemFailed)) {
    return { itemId, ok: false, code: "item_failed", message: "told to fail" };
  }
  const bad = badValues[tokenIds[tokenIds.indexOf(magic.badValue) + 1] ?? -1];
  if (tokenIds.includes(magic.badValue) && bad !== undefined)
    return { itemId, ok: true, value: bad };
  const hypotheses = Array.from({ length: nBest }, (_, rank) => ({
    tokenIds: tokenIds.toReversed(),
    score: -1 - rank,
  }));
  return { itemId, ok: true, value: hypothesesPayload(hypotheses) };
}

/** What a model may say that is no list of scored tokens; the codec carries all of it. */
const badValues: readonly Payload[] = [
  hypothesesPayload([]),
  hypothesesPayload([{ tokenIds: [1], score: Number.NaN }]),
  hypothesesPayload([{ tokenIds: [1], score: Number.NEGATIVE_INFINITY }]),
  { values: {}, tensors: {} },
  { values: { scores: [-1], lengths: [2] }, tensors: { tokens: int32List([1]) } },
  { values: { scores: [-1], lengths: [1, 1] }, tensors: { tokens: int32List([1, 2]) } },
  { values: { scores: [-1], lengths: [-1] }, tensors: { tokens: int32List([]) } },
  {
    values: { scores: [-1], lengths: [1] },
    tensors: { tokens: { type: "float32", shape: [1], data: Float32Array.of(Number.NaN) } },
  },
  { values: { scores: { a: null }, lengths: "one" }, tensors: { tokens: int32List([1]) } },
  // Too large, and nested too deep, for any frame: the codec makes a failure of it.
  { values: { scores: "x".repeat(2_000_000) }, tensors: {} },
  { values: { scores: JSON.parse(`${"[".repeat(99)}${"]".repeat(99)}`) }, tensors: {} },
];

function tokensOf({ payload }: FrameItem): readonly number[] {
  return readGenerationInput(payload)?.tokenIds ?? [];
}

function fakeItem(itemId: number): FrameItem {
  const settings = { beams: 1, nBest: 1, lengthPenalty: 1, maxLength: 9 };
  return { itemId, payload: generationPayload({ tokenIds: [1], settings }) };
}
