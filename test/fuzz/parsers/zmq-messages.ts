/** Messages over ZeroMQ: those of bert-as-service's clients and of ECTrans'. Every one is answered, told an error, or dropped for a reason. */
import { MillraceError } from "millrace-client/wire";
import { openBertFront } from "#src/front/bert-as-service/bert-as-service.js";
import { openEctransformerFront } from "#src/front/ectransformer/ectransformer.js";
import type { ZmqFront, ZmqMessage } from "#src/listen/zmq/zmq-front.js";
import { anyCaller } from "#src/work/caller.js";
import { mutateBytes, mutateJson } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";
import { fuzzFrontParts } from "./fuzz-front-parts.js";

const identity = "1f0e9a60-4a39-4a5c-9b2e-0d3c1b7a5f11";
const contents: readonly (unknown[] | string)[] = [
  ["hello world", "good ||| bad"],
  [["hello", "##s"], ["good"]],
  "SHOW_CONFIG",
];

export const bertParser: FuzzParser = defineParser<readonly Buffer[]>({
  name: "zmq-bert",
  open: () => {
    const { zmq } = openBertFront(fuzzFrontParts());
    if (zmq === undefined) throw new Error("bert-as-service does not speak ZeroMQ");
    return {
      make: (random) => {
        const isGood = random.chance(goodShare);
        const content = random.pick(contents);
        const changes = !isGood && random.chance(0.7);
        const text =
          typeof content === "string"
            ? content
            : changes
              ? mutateJson(random, content)
              : JSON.stringify(content);
        const frames: Buffer[] = [identity, text, "7", "2"].map((frame) => Buffer.from(frame));
        if (isGood || random.chance(0.5)) return frames;
        const at = random.int(0, frames.length - 1);
        const frame = frames[at] ?? Buffer.alloc(0);
        if (random.chance(0.8)) return frames.with(at, mutateBytes(random, frame, frames));
        return random.chance(0.5) ? frames.toSpliced(at, 1) : frames.toSpliced(at, 0, frame);
      },
      take: (frames) => hear(zmq, frames),
    };
  },
});

const tasks: readonly object[] = [
  { tid: 1_630_303_041_986_551, texts: ["hello world", "good"], length: 2 },
  {
    tid: "made",
    texts: [
      [1, 2, 0],
      [3, 0, 0],
    ],
    length: 2,
    key: "mr_none",
    model: "translate",
  },
  { id: "77_1", texts: ["hello"] },
];

/** Its parts end the wait: as many results as texts, and one line back. */
export const ectransParser: FuzzParser = defineParser<readonly Buffer[]>({
  name: "zmq-ectrans",
  open: () => {
    const parts = fuzzFrontParts();
    const options = { ...parts.options, zmqPort: 1, zmqPortOut: 2, ectransModel: "translate" };
    const { zmq } = openEctransformerFront({ ...parts, options });
    if (zmq === undefined) throw new Error("ECTrans does not speak ZeroMQ");
    return {
      make: (random) => {
        const task = random.pick(tasks);
        if (random.chance(goodShare)) return [Buffer.from(JSON.stringify(task))];
        const frame = Buffer.from(mutateJson(random, task));
        if (random.chance(0.5)) return [frame];
        if (random.chance(0.8)) return [mutateBytes(random, frame, [frame])];
        return random.chance(0.5) ? [] : [frame, frame];
      },
      take: (frames) => hearTask(zmq, frames),
    };
  },
});

async function hearTask(front: ZmqFront, frames: readonly Buffer[]): Promise<void> {
  let replies = 0;
  const message: ZmqMessage = {
    ...messageOf(frames),
    publish: (topic, [part = ""]) => {
      const text = part.toString();
      const wanted = topic.toString();
      if (!text.startsWith(`{"client_id":"${wanted}`) && !text.startsWith(`{"id":"${wanted}`)) {
        throw new Error(`a part that nobody reads: ${text} for ${wanted}`);
      }
      JSON.parse(text);
    },
    reply: () => {
      replies += 1;
    },
  };
  try {
    await front.handle(message);
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    front.fail(message, error);
    if (replies !== 1) throw new Error(`${replies} replies to a task that was refused`);
    throw error;
  }
  if (replies !== 1) throw new Error(`${replies} replies to a task`);
}

async function hear(front: ZmqFront, frames: readonly Buffer[]): Promise<void> {
  let answers = 0;
  const message: ZmqMessage = {
    ...messageOf(frames),
    publish: () => {
      answers += 1;
    },
    reply: () => {
      answers += 1;
    },
    drop: () => {
      answers += 1;
    },
  };
  try {
    await front.handle(message);
  } catch (error) {
    // As the listener does it; what is no error of ours would be told as a bug.
    if (!(error instanceof MillraceError)) throw error;
    front.fail(message, error);
    if (answers !== 1) throw new Error(`${answers} answers to a message that was refused`);
    throw error;
  }
  if (answers !== 1) throw new Error(`${answers} answers to a message`);
}

function messageOf(frames: readonly Buffer[]): ZmqMessage {
  return {
    id: "1",
    frames,
    bytes: frames.reduce((sum, { length }) => sum + length, 0),
    arrivedAtMs: performance.now(),
    callerOf: () => anyCaller,
    begin: () => ({
      id: "1",
      caller: anyCaller,
      arrivedAtMs: performance.now(),
      departed: new AbortController().signal,
      workClass: "none",
    }),
    publish: () => {},
    offer: () => {},
    reply: () => {},
    drop: () => {},
  };
}
