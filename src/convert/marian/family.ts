/** READ FIRST of this folder. Marian translation models: an encoder and a decoder over one file of weights. */
import { type GenerationManifest, graphVersion } from "../../models/manifest-generation.js";
import type { EncoderManifest } from "../../models/programs/manifest-encoder.js";
import type { CommonFields, Family, OpenedModel, OpenSourceOptions } from "../family.js";
import type { ProductWriter } from "../products.js";
import { openWeights, type Weights } from "../reading/weights.js";
import { sourceTokenizerName } from "../source-tokenizer.js";
import { marianCalibration } from "./calibration.js";
import { type MarianConfig, readMarianConfig } from "./config.js";
import { attentionFor } from "./decoder-attention.js";
import {
  addDecoder,
  addEncoder,
  addEncoderEmbeddings,
  marianEncoderProducts,
  marianProducts,
} from "./graphs.js";
import { chooseShortlist, type Shortlist } from "./shortlist.js";
import { checkTensors, tensorReader } from "./tensors.js";
import { type Languages, readTokenizerFacts } from "./tokenizer-facts.js";
import { openTokenizers, type SourceTokenizers, targetTokenizerName } from "./tokenizers.js";

export const marianFamily: Family = { modelTypes: ["marian"], open };

const fileNames = {
  encoder: "encoder.onnx",
  decoder: "decoder.onnx",
  weights: "weights.bin",
  tokenizer: sourceTokenizerName,
} as const;

async function open(modelDir: string, options: OpenSourceOptions): Promise<OpenedModel> {
  const config = await readMarianConfig(modelDir);
  const facts = await readTokenizerFacts(modelDir);
  const tokenizers = await openTokenizers(modelDir, config, facts);
  const weights = await openWeights(modelDir);
  try {
    checkTensors(weights, config);
    const { shortlist: text } = options;
    const shortlist =
      text === null ? null : await chooseShortlist(text, tokenizers.targetTexts(), config);
    const { languages } = facts;
    return openedModel({ config, languages, tokenizers, weights, shortlist }, options);
  } catch (error) {
    await weights[Symbol.asyncDispose]();
    throw error;
  }
}

const embeddingsName = "embeddings.onnx";

interface MarianFolder {
  readonly config: MarianConfig;
  readonly languages: Languages;
  readonly tokenizers: SourceTokenizers;
  readonly weights: Weights;
  readonly shortlist: Shortlist | null;
}

function openedModel(
  { config, languages, tokenizers, weights, shortlist }: MarianFolder,
  { embeddings, attention }: OpenSourceOptions,
): OpenedModel {
  const { width, decoder } = config;
  const kind = attention ?? attentionFor({ layers: decoder.layers, width });
  const own = {
    files: filesOf(tokenizers),
    shape: shapeOf(config),
    generation: config.generation,
  };
  return {
    modelType: config.modelType,
    weights,
    products: marianProducts(config),
    graphs: [
      { fileName: fileNames.encoder, add: (writer) => addEncoder(writer, config) },
      {
        fileName: fileNames.decoder,
        add: (writer) => addDecoder(writer, config, { kind, shortlist: shortlist?.ids ?? null }),
      },
      ...(embeddings
        ? [
            {
              fileName: embeddingsName,
              add: (writer: ProductWriter) => addEncoderEmbeddings(writer, config),
              borrows: true,
            } as const,
          ]
        : []),
    ],
    weightsName: fileNames.weights,
    read: tensorReader(weights, config),
    copies: tokenizers.files,
    calibration: (lines) => marianCalibration(own, tokenizers.source, lines),
    manifest: (common) => manifestOf(common, { languages, config, shortlist, ...own }),
    further: new Map(
      embeddings ? [["embeddings", (common: CommonFields) => embeddingsOf(common, config)]] : [],
    ),
    [Symbol.asyncDispose]: () => weights[Symbol.asyncDispose](),
  };
}

function filesOf({ files }: SourceTokenizers): GenerationManifest["files"] {
  const targetTokenizer = targetTokenizerName;
  return files.has(targetTokenizer) ? { ...fileNames, targetTokenizer } : fileNames;
}

function manifestOf(
  common: CommonFields,
  model: Pick<GenerationManifest, "files" | "shape" | "generation"> & {
    readonly languages: Languages;
    readonly config: MarianConfig;
    readonly shortlist: Shortlist | null;
  },
): GenerationManifest {
  const { manifestVersion, name, precision, layerPrecision, quantization, ...rest } = common;
  const { source, fileSha256, madeWith } = rest;
  const { languages, config, shortlist, files, shape, generation } = model;
  return {
    // In the order in which people read it.
    manifestVersion,
    name,
    task: "translate",
    engine: "generation",
    graphVersion,
    family: "marian",
    ...languages,
    precision,
    layerPrecision,
    quantization,
    files,
    shape,
    ...(shortlist === null ? {} : { shortlist: shortlist.facts }),
    generation,
    limits: { inputTokensMax: config.positions, outputTokensMax: config.positions },
    source,
    fileSha256,
    madeWith,
  };
}

/** The encoder as a model of its own: it was trained to be translated from, so its vectors are worth what they are. */
function embeddingsOf(common: CommonFields, config: MarianConfig): EncoderManifest {
  const { manifestVersion, name, precision, layerPrecision, quantization, ...rest } = common;
  const { source, fileSha256, madeWith } = rest;
  const products = new Set(marianEncoderProducts(config));
  const own = Object.entries(layerPrecision).filter(([product]) => products.has(product));
  const { weights, tokenizer } = fileNames;
  return {
    manifestVersion,
    name,
    task: "embed",
    engine: "staged",
    program: "encoder",
    family: "marian",
    precision,
    layerPrecision: Object.fromEntries(own),
    quantization,
    files: { encoder: embeddingsName, weights, tokenizer },
    shape: {
      vocabulary: config.vocabularySize,
      width: config.width,
      layers: config.encoder.layers,
      heads: config.encoder.heads,
      positions: config.positions,
      tokenTypes: 0,
    },
    unknownTokenId: config.generation.unknownTokenId,
    embedding: { pooling: "mean", normalize: true, width: config.width, own: false },
    labels: null,
    scores: null,
    limits: { inputTokensMax: config.positions },
    source,
    fileSha256,
    madeWith,
  };
}

function shapeOf(config: MarianConfig): GenerationManifest["shape"] {
  return {
    sourceVocabulary: config.vocabularySize,
    targetVocabulary: config.decoderVocabularySize,
    width: config.width,
    encoderLayers: config.encoder.layers,
    decoderLayers: config.decoder.layers,
    decoderHeads: config.decoder.heads,
    positions: config.positions,
  };
}
