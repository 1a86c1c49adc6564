/** What the workers of a timed server run: src/runtime/entry.ts with timed-model.ts in the place of sessions. */
import { Socket } from "node:net";
import { FrameDecoder } from "#src/frames/codec.js";
import { encodeFrame } from "#src/frames/encode.js";
import { type ChildFrame, framesVersion, type ParentFrame } from "#src/frames/messages.js";
import { parseParentFrame } from "#src/frames/shapes.js";
import { manifestOf } from "#src/models/engine-table.js";
import { readModel } from "#src/models/read-manifest.js";
import { Announcer } from "#src/runtime/announcer.js";
import {
  GenerationEngine,
  generationEngineDefaults,
} from "#src/runtime/generation/generation-engine.js";
import { HostedEngines } from "#src/runtime/hosted-engines.js";
import { OwnProfile } from "#src/runtime/own-profile.js";
import { framesFd, watchParent } from "#src/runtime/parent-watch.js";
import { RunWatch } from "#src/runtime/run-watch.js";
import { TimedModel } from "./timed-model.js";

watchParent();
const factor = Number(process.env["TIMED_FACTOR"] ?? 1);
const countsDir = process.env["TIMED_COUNTS"] ?? null;
const channel = new Socket({ fd: framesFd });
const send = (frame: ChildFrame): void => void channel.write(encodeFrame(frame));
const announcer = new Announcer(send, () => engines.begunItemIds());
const engines = new HostedEngines({
  loadEngine: async ({ modelDir, rowsMax }, events) => {
    const { manifest } = await readModel(modelDir);
    const model = new TimedModel(manifestOf(manifest, "generation"), { factor, countsDir });
    return new GenerationEngine(model, events, { ...generationEngineDefaults, rowsMax });
  },
  send,
  onRun: (model, run) => announcer.announce(model, run),
  memoryBytes: () => process.memoryUsage.rss(),
  ownMemoryBytes: () => process.memoryUsage.rss(),
  die: (error) => {
    process.stderr.write(`${String(error)}\n`, () => process.exit(1));
  },
});
const profile = new OwnProfile(new RunWatch());
const decoder = new FrameDecoder(parseParentFrame);
channel.on("data", (chunk: Buffer) => {
  for (const frame of decoder.push(chunk)) receive(frame);
});
channel.on("error", () => process.exit(0));
channel.on("end", () => process.exit(0));
send({ type: "hello", version: framesVersion, pid: process.pid });

function receive(frame: ParentFrame): void {
  switch (frame.type) {
    case "load":
      return engines.load(frame);
    case "unload":
      return engines.unload(frame.model);
    case "batch":
      return engines.admit(frame);
    case "cancel":
      return engines.cancel(frame.itemIds);
    case "recall":
      return send({ type: "recalled", itemIds: engines.recall(frame.itemIds) });
    case "profile":
      if (frame.step !== "stop") profile.start(frame.step === "start-with-operators");
      else void profile.stop().then(send);
      return;
    case "stop":
      process.exit(0);
  }
}
