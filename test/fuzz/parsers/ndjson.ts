/** The client's reader of lines: what it reads does not depend on where the stream was cut. */
import { isDeepStrictEqual } from "node:util";
import { MillraceError } from "millrace-client/wire";
import { mutateBytes, mutateJson } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";

const lines: readonly object[] = [
  { index: 0, text: "鱼 🐟", score: -0.5 },
  { index: 1, error: { code: "input_too_long", message: "…", retryable: false } },
  { index: 2, embedding: [0.1, 1e-8, -3], inputTokens: 4 },
  { done: { id: "1", model: "m", class: "bulk", timings: { totalMs: 1 }, pipelines: [0] } },
];

type Reader = new () => { push(bytes: Uint8Array): unknown[] };

/** It is no export of the package: what is compiled beside it is loaded. */
async function openReader(): Promise<Reader> {
  const url = new URL("../../../../client/dist/ndjson.js", import.meta.url);
  const { NdjsonParser } = (await import(url.href)) as { readonly NdjsonParser: Reader };
  return NdjsonParser;
}

const comparedBytesMax = 64 * 1024;

interface CutLines {
  readonly bytes: Buffer;
  readonly cut: number;
}

export const ndjsonParser: FuzzParser = defineParser<CutLines>({
  name: "ndjson",
  open: async () => {
    const Reader = await openReader();
    return {
      make: (random) => {
        const isGood = random.chance(goodShare);
        const texts = Array.from({ length: random.int(1, 4) }, () =>
          isGood || random.chance(0.6)
            ? JSON.stringify(random.pick(lines))
            : mutateJson(random, random.pick(lines)),
        );
        const whole = Buffer.from(`${texts.join("\n")}\n`);
        const bytes = isGood || random.chance(0.5) ? whole : mutateBytes(random, whole);
        return {
          bytes,
          cut: bytes.length < 2_048 && random.chance(0.1) ? 1 : random.int(1, 64) * 16,
        };
      },
      take: ({ bytes, cut }) => {
        const whole = read(new Reader(), bytes, bytes.length + 1);
        // How long it takes is measured: a large one is read once.
        if (bytes.length > comparedBytesMax) {
          if (whole.error !== null) throw whole.error;
          return;
        }
        const pieces = read(new Reader(), bytes, cut);
        // Values before the first error may have come in other calls: those of the call that throws are lost with it.
        if (whole.error === null && !isSame(pieces.values, whole.values))
          throw new Error(`cut every ${cut} bytes it is read otherwise`);
        if (whole.error !== null && pieces.error?.code !== whole.error.code)
          throw new Error(`cut every ${cut} bytes it is refused otherwise`);
        if (whole.error !== null) throw whole.error;
      },
    };
  },
});

function read(
  parser: InstanceType<Reader>,
  bytes: Buffer,
  cut: number,
): { readonly values: readonly unknown[]; readonly error: MillraceError | null } {
  const values: unknown[] = [];
  try {
    for (let at = 0; at < bytes.length; at += cut)
      values.push(...parser.push(bytes.subarray(at, at + cut)));
    return { values, error: null };
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    return { values, error };
  }
}

function isSame(one: readonly unknown[], other: readonly unknown[]): boolean {
  try {
    return isDeepStrictEqual(one, other);
  } catch {
    // Nested too deeply to be compared; it was read all the same.
    return one.length === other.length;
  }
}
