/** What comes over NATS: parts, requests, answers, beats and entries; whatever is in them, a conversation breaks and nothing else. */
import { MillraceError } from "millrace-client/wire";
import { TailWriter } from "#src/frames/tail.js";
import { encodeBeats, readBeat } from "#src/nats/beats.js";
import { Conversation } from "#src/nats/conversation.js";
import {
  type AskMessage,
  encodeAsk,
  encodeOutcomes,
  readAnswer,
  readAsk,
} from "#src/nats/messages.js";
import { readEntry } from "#src/nats/node-entry.js";
import { encodePart, readPart } from "#src/nats/parts.js";
import { NamedTensors } from "#src/work/tensors.js";
import type { Random } from "../../sim/random.js";
import { mutateBytes } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";

const ask: AskMessage = {
  id: "r",
  task: "infer",
  model: "m",
  class: "bulk",
  tenant: "t",
  remainingMs: 1_000,
  isDeadlineNamed: true,
  payloadBytes: 9,
  only: [1, 3],
  fields: {
    texts: ["a", ["b", "c"]],
    images: [new Uint8Array([1, 2, 3])],
    inputs: new NamedTensors([
      { name: "x", datatype: "FP32", shape: [2], data: Float32Array.of(1, 2) },
      {
        name: "s",
        datatype: "BYTES",
        shape: [1],
        data: new Uint8Array([65]),
        lengths: Int32Array.of(1),
      },
    ]),
  },
};

const outcomes = [
  {
    index: 0,
    value: {
      values: { text: "x" },
      tensors: { v: { type: "int64", shape: [1], data: BigInt64Array.of(1n) } },
    },
  },
  { index: 1, error: { code: "item_failed", message: "no", retryable: false } },
] as const;

function partOf({ head, tail = new TailWriter() }: ReturnType<typeof encodeAsk>): Buffer {
  const text = Buffer.from(head.padEnd(Math.ceil(Buffer.byteLength(head) / 8) * 8));
  const binary = new Uint8Array(tail.byteLength);
  tail.copyTo(binary);
  const bytes = Buffer.concat([text, binary]);
  const of = { sequence: 0, totalBytes: bytes.length, headBytes: text.length, offset: 0 };
  return encodePart({ kind: "part", ...of, bytes });
}

const good: readonly Buffer[] = [
  partOf(encodeAsk(ask)),
  partOf(encodeAsk({ ...ask, only: null, fields: { texts: ["a"] } })),
  partOf(encodeOutcomes(outcomes)),
  partOf({ head: '{"type":"accepted"}' }),
  partOf({
    head: '{"type":"failed","error":{"code":"queue_full","message":"m"},"retryAfterMs":5}',
  }),
  encodePart({ kind: "credit", bytes: 7 }),
  encodePart({ kind: "leave" }),
  ...encodeBeats([{ number: 1, sent: 2 }]),
];

export const natsParser: FuzzParser = defineParser<Buffer>({
  name: "nats",
  open: () => ({ make, take }),
});

function make(random: Random): Buffer {
  const bytes = random.pick(good);
  return random.chance(goodShare) ? bytes : mutateBytes(random, bytes, good);
}

/** @throws MillraceError where nobody makes anything of it */
function take(bytes: Buffer): void {
  readEntry(bytes.toString("latin1"));
  const part = readPart(bytes);
  if (part === null) throw new MillraceError("bad_request", "no part");
  if (part.kind === "beat" && readBeat(part.json).length === 0) {
    throw new MillraceError("bad_request", "no beat");
  }
  if (part.kind !== "part" && part.kind !== "credit") return;
  let refusals = 0;
  for (const read of [readAsk, readAnswer]) {
    const conversation: Conversation = new Conversation({
      publish: () => true,
      payloadBytesMax: () => 64 * 1024,
      onAnnounced: (announced) => announced < 1_000_000,
      onMessage: ({ head, tail }) => void read(head, tail),
      onBroken: (error) => {
        // What we refuse has our words; these are what a bug throws.
        if (error instanceof TypeError || error instanceof RangeError) throw error;
        refusals += 1;
      },
    });
    conversation.receive(part);
  }
  if (refusals === 2) throw new MillraceError("bad_request", "no message");
}
