/**
 * `npm run bench -- frames`: bytes and microseconds that an item costs on its way between two processes, from lists of
 * token ids to bytes and back to lists. `json` is how frames were before they had a tail: numbers as text. Both ways check
 * what they read.
 */
import { parseArgs } from "node:util";
import { FrameDecoder } from "#src/frames/codec.js";
import { encodeFrame } from "#src/frames/encode.js";
import { parseChildFrame, parseParentFrame } from "#src/frames/shapes.js";
import {
  generationPayload,
  hypothesesPayload,
  readGenerationInput,
  readHypotheses,
} from "#src/work/generation.js";
import { beginReport } from "./harness/begin-report.js";
import { finish } from "./harness/finish.js";
import { countOf, usual } from "./harness/flags.js";
import { hashOf } from "./harness/machine.js";
import type { Cell } from "./harness/report.js";

const usage = `npm run bench -- frames [flags]
Of lists of token ids, to bytes and back: as the frames are, and as JSON, in turns. Both ways must give the same lists.
  --rounds N   (default: 7)
  --items N    that each round moves (default: 64000)
  --json FILE  the figures
Example:
  npm run bench -- frames --rounds 3 --items 6400`;

const settings = { beams: 1, nBest: 1, lengthPenalty: 1, maxLength: 512 };

const parentDecoder = new FrameDecoder(parseParentFrame);
const childDecoder = new FrameDecoder(parseChildFrame);

/** One way to move lists of ids. */
interface Way {
  encode(lists: readonly (readonly number[])[]): Buffer;
  decode(bytes: Buffer): number[][];
}

const ways: Readonly<Record<string, Way>> = {
  "batch json": {
    encode: (lists) =>
      jsonFrame({
        type: "batch",
        batchId: 1,
        model: "m",
        class: "bulk",
        items: lists.map((tokenIds, index) => ({ itemId: 100_000 + index, tokenIds, settings })),
      }),
    decode: (bytes) => readJson(bytes).items.map(({ tokenIds }) => checked(tokenIds)),
  },
  "batch tail": {
    encode: (lists) =>
      encodeFrame({
        type: "batch",
        batchId: 1,
        model: "m",
        class: "bulk",
        items: lists.map((tokenIds, index) => ({
          itemId: 100_000 + index,
          payload: generationPayload({ tokenIds, settings }),
        })),
      }),
    decode: (bytes) =>
      parentDecoder.push(bytes).flatMap((frame) => {
        if (frame.type !== "batch") return [];
        return frame.items.map(({ payload }) => [
          ...(readGenerationInput(payload)?.tokenIds ?? []),
        ]);
      }),
  },
  "items json": {
    encode: (lists) =>
      jsonFrame({
        type: "items",
        items: lists.map((tokenIds, index) => ({
          itemId: 100_000 + index,
          ok: true,
          hypotheses: [{ tokenIds, score: scoreOf(index) }],
          waitMs: 1.25,
          runMs: 20.5,
        })),
      }),
    decode: (bytes) =>
      readJson(bytes).items.map(({ hypotheses }) => checked(hypotheses?.[0]?.tokenIds)),
  },
  "items tail": {
    encode: (lists) =>
      encodeFrame({
        type: "items",
        outcomes: lists.map((tokenIds, index) => ({
          itemId: 100_000 + index,
          ok: true,
          value: hypothesesPayload([{ tokenIds, score: scoreOf(index) }]),
        })),
      }),
    decode: (bytes) =>
      childDecoder.push(bytes).flatMap((frame) => {
        if (frame.type !== "items") return [];
        return frame.outcomes.map((outcome) =>
          outcome.ok ? [...(readHypotheses(outcome.value)?.[0]?.tokenIds ?? [])] : [],
        );
      }),
  },
};

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "7" },
      items: { type: "string", default: "64000" },
      json: usual.json,
      help: usual.help,
    },
  });
  if (values.help) return console.log(usage);
  const [rounds, items] = [countOf("rounds", values.rounds), countOf("items", values.items)];
  const { report, machine } = beginReport("frames");
  const sizes = [1, 16, 64].flatMap((batch) => [12, 60].map((tokens) => ({ batch, tokens })));
  report.table({
    title: "µs an item, to bytes and back",
    columns: ["frame", "batch", "tokens", "bytes/item", "encode", "decode", "result"],
    rows: sizes.flatMap(({ batch, tokens }) => {
      const lists = Array.from({ length: batch }, (_, row) => idsOf(row, tokens));
      return measure(lists, Math.ceil(items / batch), rounds);
    }),
  });
  await finish(report, { machine, facts: { rounds, items }, jsonFile: values.json });
}

/** The ways take turns, so that what else the machine does falls on all of them. A row each. */
function measure(
  lists: readonly (readonly number[])[],
  repeats: number,
  rounds: number,
): readonly (readonly Cell[])[] {
  const timed = Object.entries(ways).map(([name, way]) => ({
    name,
    way,
    bytes: way.encode(lists),
    encodeUs: new Array<number>(),
    decodeUs: new Array<number>(),
  }));
  // The first round is for the compiler.
  for (let round = 0; round <= rounds; round += 1) {
    for (const { way, bytes, encodeUs, decodeUs } of timed) {
      const encoded = microseconds(repeats, () => way.encode(lists)) / lists.length;
      const decoded = microseconds(repeats, () => way.decode(bytes)) / lists.length;
      if (round === 0) continue;
      encodeUs.push(encoded);
      decodeUs.push(decoded);
    }
  }
  return timed.map(({ name, way, bytes, encodeUs, decodeUs }) => [
    name,
    String(lists.length),
    String(lists[0]?.length),
    (bytes.length / lists.length).toFixed(0),
    encodeUs,
    decodeUs,
    hashOf(way.decode(bytes)),
  ]);
}

function microseconds(repeats: number, action: () => unknown): number {
  const from = performance.now();
  for (let repeat = 0; repeat < repeats; repeat += 1) action();
  return ((performance.now() - from) * 1_000) / repeats;
}

/** Ids as a vocabulary of 65,001 tokens has them, the same in every run. */
function idsOf(row: number, tokens: number): number[] {
  return Array.from({ length: tokens }, (_, at) => ((row + 1) * 7_919 + at * 104_729) % 65_001);
}

function scoreOf(index: number): number {
  return -0.123_456_789 * (index + 1);
}

function jsonFrame(frame: object): Buffer {
  const json = JSON.stringify(frame);
  const bytes = Buffer.byteLength(json);
  const buffer = Buffer.allocUnsafe(4 + bytes);
  buffer.writeUInt32LE(bytes, 0);
  buffer.write(json, 4);
  return buffer;
}

interface JsonEntry {
  readonly tokenIds?: readonly number[];
  readonly hypotheses?: readonly { readonly tokenIds: readonly number[] }[];
}

function readJson(bytes: Buffer): { readonly items: readonly JsonEntry[] } {
  return JSON.parse(bytes.toString("utf8", 4));
}

function checked(ids: readonly number[] | undefined): number[] {
  if (ids?.every((id) => Number.isSafeInteger(id) && id >= 0) !== true) throw new Error("bad ids");
  return [...ids];
}
