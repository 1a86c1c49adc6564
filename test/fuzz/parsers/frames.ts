/** Frames of parent and child, cut anywhere: the same frames, and the same end, however the stream was cut. */
import { isDeepStrictEqual } from "node:util";
import { MillraceError } from "millrace-client/wire";
import { FrameDecoder, type ParseFrame } from "#src/frames/codec.js";
import { encodeFrame } from "#src/frames/encode.js";
import type { ChildFrame, ParentFrame } from "#src/frames/messages.js";
import { ProtocolError } from "#src/frames/protocol-error.js";
import { parseChildFrame, parseParentFrame } from "#src/frames/shapes.js";
import type { Payload } from "#src/work/payload.js";
import type { Random } from "../../sim/random.js";
import { mutateBytes, mutateJson } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";

const payload: Payload = {
  values: { scores: [-0.5], note: "鱼" },
  tensors: {
    flags: { type: "bool", shape: [3], data: Uint8Array.of(1, 0, 1) },
    ids: { type: "int64", shape: [1, 2], data: BigInt64Array.of(5n, -1n) },
    none: { type: "float32", shape: [0, 4], data: new Float32Array() },
    tokens: { type: "int32", shape: [2], data: Int32Array.of(5, 0) },
  },
};
const failure = { itemId: 2, ok: false, code: "item_failed", message: "鱼 🐟" } as const;
const sizes = [{ rows: 2, runs: 1, ms: 5.5 }];
const stage = { stage: "decode", runs: 1, rows: 2, units: 3, paddedUnits: 4, ms: 5.5, sizes };

const childFrames: readonly ChildFrame[] = [
  { type: "hello", version: 1, pid: 77 },
  { type: "loaded", model: "en-zh", loads: 1, modelBytes: 2, memoryBytes: 3, ms: 4.5 },
  { type: "load-failed", model: "模型", code: "model_folder_invalid", message: "no such file" },
  {
    type: "run",
    model: "en-zh",
    stage: "encode",
    rows: 2,
    width: 16,
    predictedMs: 3.5,
    begunItemIds: [1, 2],
    memoryBytes: 9,
  },
  { type: "items", outcomes: [{ itemId: 1, ok: true, value: payload }, failure] },
  { type: "recalled", itemIds: [1, 2, 3] },
  { type: "report", model: "en-zh", stages: [stage], cacheBytes: 7 },
];
const parentFrames: readonly ParentFrame[] = [
  { type: "load", model: "m", modelDir: "/m", version: "v", seen: "", threads: 1, rowsMax: 64 },
  { type: "batch", batchId: 1, model: "m", class: "bulk", items: [{ itemId: 1, payload }] },
  { type: "cancel", itemIds: [1] },
  { type: "stop" },
];

const comparedBytesMax = 64 * 1024;

interface CutStream {
  readonly bytes: Buffer;
  /** Bytes of each chunk but the last one, which has the rest. */
  readonly cuts: readonly number[];
}

export const frameParsers: readonly FuzzParser[] = [
  frames("frames-child", { good: childFrames.map(encodeFrame), parse: parseChildFrame }),
  frames("frames-parent", { good: parentFrames.map(encodeFrame), parse: parseParentFrame }),
];

function frames<Frame>(
  name: string,
  { good, parse }: { readonly good: readonly Buffer[]; readonly parse: ParseFrame<Frame> },
): FuzzParser {
  return defineParser<CutStream>({
    name,
    open: () => ({
      make: (random) => {
        const bytes = streamOf(random, good);
        return { bytes, cuts: cutsOf(random, bytes.length) };
      },
      take: ({ bytes, cuts }) => {
        const whole = decode(parse, [bytes]);
        // How long it takes is measured: a large one is read once.
        const pieces =
          bytes.length > comparedBytesMax ? whole : decode(parse, chunksOf(bytes, cuts));
        if (!isDeepStrictEqual(pieces, whole))
          throw new Error(`cut into ${cuts.length + 1} it is read otherwise`);
        // The child is ended for it, and its items go elsewhere.
        if (whole.error !== null) throw new MillraceError("worker_lost", whole.error);
      },
    }),
  });
}

/** Some frames, one of them changed: its bytes, or its header with lengths that fit again. */
function streamOf(random: Random, good: readonly Buffer[]): Buffer {
  const stream = Array.from({ length: random.int(1, 4) }, () => random.pick(good));
  if (random.chance(goodShare)) return Buffer.concat(stream);
  const at = random.int(0, stream.length - 1);
  const frame = stream[at] ?? Buffer.alloc(0);
  if (random.chance(0.5)) return mutateBytes(random, Buffer.concat(stream), good);
  const end = 8 + frame.readUInt32LE(0);
  const header = Buffer.from(mutateJson(random, JSON.parse(frame.toString("utf8", 8, end))));
  const tail = random.chance(0.8) ? frame.subarray(end) : mutateBytes(random, frame.subarray(end));
  const prefix = Buffer.alloc(8);
  prefix.writeUInt32LE(header.length);
  prefix.writeUInt32LE(tail.length, 4);
  stream[at] = Buffer.concat([prefix, header, tail]);
  return Buffer.concat(stream);
}

/** Byte by byte, or anywhere. */
function cutsOf(random: Random, length: number): number[] {
  if (length < 2_048 && random.chance(0.1)) return Array.from({ length }, () => 1);
  return Array.from({ length: random.int(0, 8) }, () => random.int(0, Math.ceil(length / 4)));
}

function* chunksOf(bytes: Buffer, cuts: readonly number[]): Generator<Buffer> {
  let at = 0;
  for (const cut of [...cuts, bytes.length]) {
    yield bytes.subarray(at, at + cut);
    at += cut;
  }
}

function decode<Frame>(
  parse: ParseFrame<Frame>,
  chunks: Iterable<Buffer>,
): { readonly frames: readonly Frame[]; readonly error: string | null } {
  const decoder = new FrameDecoder(parse);
  const frames: Frame[] = [];
  try {
    for (const chunk of chunks) for (const frame of decoder.read(chunk)) frames.push(frame);
    return { frames, error: null };
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return { frames, error: error.message };
  }
}
