/**
 * READ FIRST on the child's side. One process, several models: it is spawned without any and is warm when it says hello; then
 * it loads what it is told to, and alternates between frames from the parent and steps of its engines.
 */
import { Socket } from "node:net";
import { setPriority } from "node:os";
import { FrameDecoder } from "../frames/codec.js";
import { encodeFrame } from "../frames/encode.js";
import { type ChildFrame, framesVersion, type ParentFrame } from "../frames/messages.js";
import { parseParentFrame } from "../frames/shapes.js";
import { platform } from "../platform/platform.js";
import { Announcer } from "./announcer.js";
import { loadEngine } from "./engines.js";
import { HostedEngines } from "./hosted-engines.js";
import { startRuntime } from "./native/start-runtime.js";
import { OwnProfile } from "./own-profile.js";
import { framesFd, watchParent } from "./parent-watch.js";
import { RunWatch } from "./run-watch.js";
import { weightsCacheFrom } from "./weights-cache.js";

watchParent();
// The server answers polls and callers while its pipelines use every core: a little less weight for them keeps its
// event loop's delay low (99th percentile 18 to 11 ms with two busy cores, at the same throughput).
setPriority(3);
const channel = new Socket({ fd: framesFd });
const send = (frame: ChildFrame): void => {
  channel.write(encodeFrame(frame));
};
const weightsCache = weightsCacheFrom(process.argv);

const runWatch = new RunWatch();
const announcer = new Announcer(send, () => engines.begunItemIds());
const engines = new HostedEngines({
  loadEngine: (request, events) => loadEngine({ ...request, weightsCache, runWatch }, events),
  send,
  onRun: (model, run) => announcer.announce(model, run),
  memoryBytes: () => process.memoryUsage.rss(),
  ownMemoryBytes: platform.ownMemoryBytes,
  die,
});
const profile = new OwnProfile(runWatch);
const decoder = new FrameDecoder(parseParentFrame);
channel.on("data", (chunk: Buffer) => {
  for (const frame of decoder.push(chunk)) receive(frame);
});
// The parent is gone, or broke off: nobody waits for anything that is still here, and nobody would kill what does not end.
// SIGKILL and not exit: exit waits for threads of the runtime, and ends the watch of parent-watch.ts where that is one.
const endNow = (): void => void process.kill(process.pid, "SIGKILL");
channel.on("error", endNow);
channel.on("end", endNow);
// Whatever is wrong with it is wrong with every session: loading a model will say so.
await startRuntime().catch(() => {});
send({ type: "hello", version: framesVersion, pid: process.pid });

function receive(frame: ParentFrame): void {
  switch (frame.type) {
    case "load":
      engines.load(frame);
      return;
    case "unload":
      engines.unload(frame.model);
      return;
    case "batch":
      engines.admit(frame);
      return;
    case "cancel":
      engines.cancel(frame.itemIds);
      return;
    case "recall":
      // One answer for each, also an empty one: it says that what is not in it has begun or has ended.
      send({ type: "recalled", itemIds: engines.recall(frame.itemIds) });
      return;
    case "profile":
      if (frame.step !== "stop") profile.start(frame.step === "start-with-operators");
      else void profile.stop().then(send);
      return;
    case "stop":
      process.exit(0);
  }
}

/**
 * An engine broke a promise of its own (what runs and memory do wrong fails items in there): what the process holds cannot
 * be trusted. It ends, says why in the log, and the parent looks for the item that does it among those begun.
 */
function die(error: unknown): void {
  const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`an engine failed: ${what}\n`, () => process.exit(1));
}
