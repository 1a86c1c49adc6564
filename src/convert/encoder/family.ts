/** BERT, RoBERTa, XLM-RoBERTa, DistilBERT, MPNet and ModernBERT: one graph over one file of weights. */
import { MillraceError } from "millrace-client/wire";
import type { EncoderManifest } from "../../models/programs/manifest-encoder.js";
import type { CommonFields, Family, OpenedModel, OpenSourceOptions } from "../family.js";
import type { ReadTensor } from "../products.js";
import { openWeights, type Weights } from "../reading/weights.js";
import { sourceTokenizerName } from "../source-tokenizer.js";
import { expectedReader, expectTensor, requireTensors } from "../tensors.js";
import { architectures } from "./architectures.js";
import { encoderCalibration } from "./calibration.js";
import { type EncoderConfig, readConfigFile, readEncoderConfig } from "./config.js";
import { addEncoderGraph, encoderProducts } from "./graph.js";
import { type DenseStep, readModules } from "./modules.js";
import { type Purpose, readPurpose } from "./purpose.js";
import { encoderTensors } from "./tensors.js";
import { type EncoderTokenizer, readEncoderTokenizer } from "./tokenizer.js";

export const encoderFamily: Family = {
  modelTypes: [...architectures.keys(), "modernbert"],
  open,
};

const fileNames = {
  encoder: "encoder.onnx",
  weights: "weights.bin",
  tokenizer: sourceTokenizerName,
} as const;

interface EncoderFolder {
  readonly config: EncoderConfig;
  readonly purpose: Purpose;
  readonly text: EncoderTokenizer;
  readonly inputTokensMax: number;
  readonly weights: Weights;
  readonly read: ReadTensor;
  readonly close: () => Promise<void>;
}

async function open(
  modelDir: string,
  { embeddings, shortlist }: OpenSourceOptions,
): Promise<OpenedModel> {
  if (embeddings) {
    const message = "--embeddings is for marian models; this one gives vectors or labels by itself";
    throw new MillraceError("option_invalid", message);
  }
  if (shortlist !== null) {
    const message = "--shortlist is for marian models; this one generates no tokens";
    throw new MillraceError("option_invalid", message);
  }
  const modules = await readModules(modelDir);
  const value = await readConfigFile(modules.baseDir);
  const config = readEncoderConfig(value);
  const purpose = await readPurpose(value, config, modules);
  const text = await readEncoderTokenizer(modules.baseDir, {
    vocabulary: config.vocabulary,
    lowerCase: modules.lowerCase,
    modelType: config.modelType,
  });
  const inputTokensMax = Math.min(modules.tokensMax ?? text.tokensMax, config.positions);
  const opened: Weights[] = [];
  const close = async () => {
    for (const weights of opened) await weights[Symbol.asyncDispose]();
  };
  try {
    const weights = await openWeights(modules.baseDir);
    opened.push(weights);
    const tensors = encoderTensors(config, purpose);
    requireTensors(weights, tensors);
    const readers = new Map<string, ReadTensor>();
    for (const step of denseSteps(purpose)) {
      const own = await openWeights(step.dir);
      opened.push(own);
      readers.set(step.name, denseReader(own, step));
    }
    const readBody = expectedReader(weights, tensors, ({ name }) => {
      throw new Error(`${name} is not optional`);
    });
    const read: ReadTensor = (name) =>
      (readers.get(name.slice(0, name.lastIndexOf("."))) ?? readBody)(name);
    return openedModel({ config, purpose, text, inputTokensMax, weights, read, close });
  } catch (error) {
    await close();
    throw error;
  }
}

function denseSteps(purpose: Purpose): DenseStep[] {
  const steps = purpose.kind === "embedding" ? (purpose.own?.steps ?? []) : [];
  return steps.filter((step) => step.kind === "dense");
}

/** Checks the tensors of a Dense, which are called the same in each. */
function denseReader(weights: Weights, { name, inputs, outputs, bias }: DenseStep): ReadTensor {
  const tensors = [
    expectTensor(`${name}.weight`, [outputs, inputs], { aliases: ["linear.weight"] }),
    ...(bias ? [expectTensor(`${name}.bias`, [outputs], { aliases: ["linear.bias"] })] : []),
  ];
  requireTensors(weights, tensors);
  return expectedReader(weights, tensors, () => {
    throw new Error("a Dense has no optional tensors");
  });
}

function openedModel(folder: EncoderFolder): OpenedModel {
  const { config, purpose, text, inputTokensMax, weights, read, close } = folder;
  const isEmbedding = purpose.kind === "embedding";
  return {
    modelType: config.modelType,
    weights,
    products: encoderProducts(config, purpose),
    graphs: [
      {
        fileName: fileNames.encoder,
        add: (writer) => addEncoderGraph(writer, config, purpose),
      },
    ],
    weightsName: fileNames.weights,
    read,
    copies: new Map([[fileNames.tokenizer, text.file]]),
    calibration: (lines) =>
      encoderCalibration(
        {
          fileName: fileNames.encoder,
          tokenizer: text.tokenizer,
          tokensMax: inputTokensMax,
          types: config.kind === "bert" && config.tokenTypes > 0,
          layers: isEmbedding ? config.layers : null,
          pairs: taskOf(purpose) === "rerank",
        },
        lines,
      ),
    manifest: (common) => manifestOf(common, folder),
    further: new Map(),
    [Symbol.asyncDispose]: close,
  };
}

/** A single label is how much two texts have to do with each other. */
function taskOf(purpose: Purpose): "embed" | "classify" | "rerank" {
  if (purpose.kind === "embedding") return "embed";
  return purpose.labels.length === 1 ? "rerank" : "classify";
}

function manifestOf(
  common: CommonFields,
  { config, purpose, text, inputTokensMax }: EncoderFolder,
): EncoderManifest {
  const { manifestVersion, name, precision, layerPrecision, quantization, ...rest } = common;
  const { source, fileSha256, madeWith } = rest;
  const isEmbedding = purpose.kind === "embedding";
  return {
    // In the order in which people read it.
    manifestVersion,
    name,
    task: taskOf(purpose),
    engine: "staged",
    program: "encoder",
    family: config.modelType,
    precision,
    layerPrecision,
    quantization,
    files: fileNames,
    shape: {
      vocabulary: config.vocabulary,
      width: config.width,
      layers: config.layers,
      heads: config.heads,
      positions: config.positions,
      tokenTypes: config.kind === "bert" ? config.tokenTypes : 0,
    },
    unknownTokenId: text.unknownTokenId,
    embedding: isEmbedding
      ? {
          pooling: purpose.pooling,
          normalize: purpose.normalize,
          width: purpose.width,
          own: purpose.own !== null,
        }
      : null,
    labels: isEmbedding ? null : purpose.labels,
    scores: isEmbedding ? null : purpose.scores,
    limits: { inputTokensMax },
    source,
    fileSha256,
    madeWith,
  };
}
