/** Compressed bodies: what comes out is bounded whatever they say of themselves, and what is cut or changed is refused. */
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { MillraceError } from "millrace-client/wire";
import { compressionOf, decompress } from "#src/listen/http/decompression.js";
import { DecompressionTurns } from "#src/listen/http/decompression-turns.js";
import type { Random } from "../../sim/random.js";
import { mutateBytes } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";

const bytesMax = 256 * 1024;

const texts: readonly Buffer[] = [
  Buffer.from('{"texts": ["Good morning.", "早上好。"]}'),
  Buffer.from(JSON.stringify({ texts: Array.from({ length: 300 }, (_, at) => `text ${at}`) })),
  // A bomb: a thousand times as many bytes as were sent.
  Buffer.alloc(4 * bytesMax, 32),
];

const encodings: Readonly<Record<string, readonly Buffer[]>> = {
  gzip: texts.map((text) => gzipSync(text)),
  deflate: texts.map((text) => deflateSync(text)),
  br: texts.map((text) => brotliCompressSync(text)),
};

interface CompressedBody {
  readonly encoding: string;
  readonly bytes: Buffer;
}

export const compressedParser: FuzzParser = defineParser<CompressedBody>({
  name: "compressed",
  open: () => {
    const turns = new DecompressionTurns();
    return { make, take: (body) => take(body, turns) };
  },
});

function make(random: Random): CompressedBody {
  const encoding = random.pick(Object.keys(encodings));
  const bodies = encodings[encoding] ?? [];
  const bytes = random.pick(bodies);
  if (random.chance(goodShare)) return { encoding, bytes };
  // Two members, one behind the other, are a body of gzip as well.
  if (random.chance(0.1)) return { encoding, bytes: Buffer.concat([bytes, random.pick(bodies)]) };
  return { encoding, bytes: mutateBytes(random, bytes, Object.values(encodings).flat()) };
}

async function take({ encoding, bytes }: CompressedBody, turns: DecompressionTurns): Promise<void> {
  const compression = compressionOf({ "content-encoding": encoding });
  if (compression === null) throw new Error(`${encoding} is no compression`);
  let had = 0;
  await decompress(bytes, {
    compression,
    turns,
    bytesMax,
    signal: new AbortController().signal,
    onOpen: () => {},
    onChunk: ({ length }) => {
      if (had > bytesMax) throw new Error("it goes on behind the end");
      had += length;
      if (had > bytesMax) throw new MillraceError("body_too_large", "more than may be");
    },
  });
}
