/** Bodies of the Open Inference Protocol: a JSON head, and raw tensors behind it. */
import { headLengthHeader, readInferBody } from "#src/front/inference-v2/infer-body.js";
import type { Random } from "../../sim/random.js";
import { hostileNumber, mutateBytes, mutateJson } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";
import { fuzzOptions } from "./fuzz-options.js";

interface GoodInfer {
  readonly head: object;
  readonly tail: Buffer;
}

const binary = (size: number): object => ({ parameters: { binary_data_size: size } });
const texts = Buffer.from("\u0005\0\0\0hello\u0002\0\0\0é", "utf8");

const good: readonly GoodInfer[] = [
  {
    head: {
      id: "1",
      parameters: { priority: 1, timeout: 1_000, binary_data_output: true },
      inputs: [
        { name: "x", datatype: "FP32", shape: [1, 2], ...binary(8) },
        { name: "t", datatype: "BYTES", shape: [2], ...binary(texts.length) },
      ],
      outputs: [{ name: "y", parameters: { binary_data: false } }],
    },
    tail: Buffer.concat([Buffer.from(Float32Array.of(1, 2).buffer), texts]),
  },
  {
    head: {
      inputs: [
        {
          name: "x",
          datatype: "INT64",
          shape: [2, 2],
          data: [
            [1, 2],
            [3, 9007199254740991],
          ],
        },
        { name: "b", datatype: "BOOL", shape: [2], data: [true, false] },
        { name: "h", datatype: "FP16", shape: [2], ...binary(4) },
        { name: "s", datatype: "BYTES", shape: [1], data: ["a"] },
      ],
    },
    tail: Buffer.of(0, 60, 0, 124),
  },
];

interface InferInput {
  readonly bytes: Buffer;
  readonly length: string | undefined;
}

export const inferV2Parser: FuzzParser = defineParser<InferInput>({
  name: "v2-infer-body",
  open: () => ({
    make: inferInput,
    take: async ({ bytes, length }) => {
      const headers = length === undefined ? {} : { [headLengthHeader]: length };
      await readInferBody(bytes, headers, fuzzOptions);
    },
  }),
});

function inferInput(random: Random): InferInput {
  const { head, tail } = random.pick(good);
  const isGood = random.chance(goodShare);
  const changesHead = !isGood && random.chance(0.7);
  const json = Buffer.from(changesHead ? mutateJson(random, head) : JSON.stringify(head));
  const raw = isGood || random.chance(0.6) ? tail : mutateBytes(random, tail);
  const bytes = Buffer.concat([json, raw]);
  if (isGood || random.chance(0.9)) return { bytes, length: String(json.length) };
  return { bytes, length: random.chance(0.2) ? undefined : String(hostileNumber(random)) };
}
