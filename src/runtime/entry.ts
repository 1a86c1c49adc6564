/**
 * READ FIRST on the child's side. One process, one model: it is spawned, loads it, answers a warm-up item,
 * and then alternates between frames from the parent and steps of the engine.
 */
import { Socket } from "node:net";
import { setPriority } from "node:os";
import { MillraceError } from "millrace-client/wire";
import { FrameDecoder } from "../frames/codec.js";
import { encodeFrame } from "../frames/encode.js";
import { type ChildFrame, framesVersion, type ParentFrame } from "../frames/messages.js";
import { parseParentFrame } from "../frames/shapes.js";
import { Announcer } from "./announcer.js";
import type { Engine } from "./engine.js";
import { loadEngine } from "./engines.js";
import { framesFd, watchParent } from "./parent-watch.js";
import { startRuntime } from "./session.js";
import { weightsCacheFrom } from "./weights-cache.js";

const reportMs = 1_000;

watchParent();
// The server answers polls and callers while its pipelines use every core: a little less weight for them keeps its
// event loop's delay low (99th percentile 18 to 11 ms with two busy cores, at the same throughput).
setPriority(3);
const channel = new Socket({ fd: framesFd });
const send = (frame: ChildFrame): void => {
  channel.write(encodeFrame(frame));
};
let engine: Engine | null = null;
/** The loop runs; it ends by itself when the engine has nothing to do. */
let running = false;
let loads = 0;
const weightsCache = weightsCacheFrom(process.argv);
let reportedAtMs = 0;

const announcer = new Announcer(send, () => engine?.begunItemIds() ?? []);
const decoder = new FrameDecoder(parseParentFrame);
channel.on("data", (chunk: Buffer) => {
  for (const frame of decoder.push(chunk)) receive(frame);
});
// The parent is gone, or broke off: nobody waits for anything that is still here.
channel.on("error", () => process.exit(0));
channel.on("end", () => process.exit(0));
// Whatever is wrong with it is wrong with every session: loading a model will say so.
await startRuntime().catch(() => {});
send({ type: "hello", version: framesVersion, pid: process.pid });

function receive(frame: ParentFrame): void {
  switch (frame.type) {
    case "load":
      void load(frame);
      return;
    case "batch":
      loaded().admit(frame.class, frame.items);
      if (!running) run().catch(die);
      return;
    case "cancel":
      loaded().cancel(frame.itemIds);
      return;
    case "recall":
      // One answer for each, also an empty one: it says that what is not in it has begun or has ended.
      send({ type: "recalled", itemIds: loaded().recall(frame.itemIds) });
      return;
    case "stop":
      process.exit(0);
  }
}

async function load(frame: Extract<ParentFrame, { type: "load" }>): Promise<void> {
  try {
    loads += 1;
    engine = await loadEngine(
      { ...frame, weightsCache },
      {
        onRun: (run) => announcer.announce(run),
        onOutcomes: (outcomes) => {
          if (outcomes.length > 0) send({ type: "items", outcomes });
        },
      },
    );
    const memoryBytes = process.memoryUsage.rss();
    send({ type: "ready", loads, memoryBytes });
  } catch (error) {
    const code = error instanceof MillraceError ? error.code : "internal";
    const message = error instanceof Error ? error.message : String(error);
    send({ type: "load-failed", code, message });
  }
}

async function run(): Promise<void> {
  running = true;
  while (!loaded().idle) {
    await loaded().step();
    if (performance.now() - reportedAtMs > reportMs) report();
  }
  running = false;
  report();
}

/**
 * The engine broke a promise of its own (what runs and memory do wrong fails items in there): what it holds cannot be
 * trusted. The process ends, says why in the log, and the parent looks for the item that does it among those begun.
 */
function die(error: unknown): void {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`the engine failed: ${what}\n`, () => process.exit(1));
}

/** What was measured since the last report; while it works once a second, and when it idles. */
function report(): void {
  reportedAtMs = performance.now();
  const stages = loaded().takeReport();
  if (stages.length > 0) send({ type: "report", stages, cacheBytes: loaded().memoryBytes });
}

function loaded(): Engine {
  if (engine === null) throw new Error("the parent sent work before the model was loaded");
  return engine;
}
