/** Files of model folders, which come from strangers: each is written anew for each input, and read as a server reads it. */
import { writeFileSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { SafetensorsFile } from "#src/convert/reading/safetensors.js";
import { readSentencePieceFile } from "#src/convert/reading/sentencepiece-model.js";
import { TorchFile } from "#src/convert/reading/torch-file.js";
import { readGraph } from "#src/models/onnx/read-graph.js";
import { parseManifest, readManifest } from "#src/models/read-manifest.js";
import { EncoderTexts } from "#src/prepare/text/encoder-texts.js";
import type { Random } from "../../sim/random.js";
import { writeMadeEncoder } from "../../support/made-encoder.js";
import { graphBytes, identityGraph } from "../../support/onnx-graph.js";
import { bundledModels } from "../../support/real-server.js";
import { float32Tensor, safetensorsOf } from "../../support/safetensors-bytes.js";
import { sentencePieceModels, sentencePieceTexts } from "../../support/sentencepiece-models.js";
import { floatBytes, legacyTorchBytes, torchBytes, torchViews } from "../../support/torch-bytes.js";
import { mutateBytes, mutateJson } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";

interface FileKind {
  readonly name: string;
  readonly good: readonly Uint8Array[];
  readonly read: (path: string) => Promise<void>;
}

const matrix = { elements: 6, shape: [2, 3], strides: [3, 1] };
const six = floatBytes([1, 2, 3, 4, 5, 6]);

const kinds: readonly FileKind[] = [
  {
    name: "safetensors",
    good: [
      safetensorsOf({ w: float32Tensor([2, 3], [1, 2, 3, 4, 5, 6]), b: float32Tensor([1], [7]) }),
      safetensorsOf({ "a.b": float32Tensor([], [1]), none: float32Tensor([0, 4], []) }),
    ],
    read: async (path) => {
      await using file = await SafetensorsFile.open(path);
      for (const name of file.tensors.keys()) await file.read(name);
    },
  },
  {
    name: "torch-file",
    good: [
      torchBytes(torchViews({ w: matrix, t: { ...matrix, shape: [3, 2], strides: [1, 3] } }), {
        0: six,
      }),
      torchBytes(torchViews({ w: { ...matrix, key: "7" } }), { 7: six }, [
        { name: "archive/byteorder", bytes: Buffer.from("little") },
      ]),
      legacyTorchBytes(torchViews({ w: matrix }), { 0: six }),
    ],
    read: async (path) => {
      await using file = await TorchFile.open(path);
      for (const name of file.tensors.keys()) await file.read(name);
    },
  },
  {
    name: "sentencepiece-model",
    good: Object.values(sentencePieceModels),
    read: async (path) => void (await readSentencePieceFile(path)),
  },
  {
    name: "onnx-head",
    good: [
      identityGraph("FP32", ["n", 4]),
      graphBytes({
        nodes: [{ opType: "Add", input: ["x", "w"], output: ["y"] }],
        inputs: [{ name: "x", type: "INT64", shape: [2, ""] }],
        outputs: [{ name: "y", type: "INT64", shape: [] }],
        domains: ["com.microsoft"],
      }),
    ],
    read: async (path) => void (await readGraph(path)),
  },
];

const fileParsers = kinds.map(({ name, good, read }) =>
  defineParser<Uint8Array>({
    name,
    open: async (dir) => {
      const path = join(dir, "file");
      return {
        make: (random) =>
          random.chance(goodShare)
            ? random.pick(good)
            : mutateBytes(random, random.pick(good), good),
        take: async (bytes) => {
          writeFileSync(path, bytes);
          await read(path);
        },
      };
    },
  }),
);

const manifestParser = defineParser<unknown>({
  name: "manifest",
  open: async (dir) => {
    const encoder = await writeMadeEncoder(join(dir, "encoder"));
    const good = [await readManifest(join(bundledModels, "en-zh")), await readManifest(encoder)];
    return {
      make: (random) => {
        const manifest = random.pick(good);
        return random.chance(goodShare) ? manifest : parsed(random, manifest);
      },
      take: (value) => void parseManifest("millrace.json", value),
    };
  },
});

/** What is no JSON says so before anybody looks at it. */
function parsed(random: Random, good: unknown): unknown {
  const text = mutateJson(random, good);
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const tokenizerParser = defineParser<string>({
  name: "tokenizer.json",
  open: async (dir) => {
    const encoder = await writeMadeEncoder(join(dir, "encoder"));
    const good: unknown = JSON.parse(await readFile(join(encoder, "tokenizer.json"), "utf8"));
    const path = join(dir, "tokenizer.json");
    await mkdir(dir, { recursive: true });
    return {
      make: (random) =>
        random.chance(goodShare) ? JSON.stringify(good) : mutateJson(random, good),
      take: async (text) => {
        writeFileSync(path, text);
        const limits = {
          inputTokensMax: 32,
          vocabulary: 12,
          tokenTypes: 2,
          inputCharactersMax: 1_000,
        };
        const texts = await EncoderTexts.open({ path, unknownTokenId: 1, ...limits });
        const at = { param: "texts[0]", truncate: true, embedding: null, resultBytes: () => 1 };
        for (const each of sentencePieceTexts.slice(0, 8))
          for (const _ of texts.steps(each, at)) continue;
      },
    };
  },
});

/** A file is opened once, when its model is loaded. */
const fileMsMax = 250;

export const modelFileParsers: readonly FuzzParser[] = [
  ...fileParsers,
  manifestParser,
  tokenizerParser,
].map((parser) => ({ ...parser, msMax: fileMsMax }));
