/** What a folder's model is for: embeddings, as sentence-transformers' modules make them, or labels. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { checkShape } from "../../models/read-json.js";
import type { EncoderPooling, EncoderScores } from "../../work/encoding.js";
import type { Activation } from "../activations.js";
import { type EncoderConfig, unsupported } from "./config.js";
import { type Modules, type OwnVectors, readOwnVectors } from "./modules.js";

export interface EmbeddingPurpose {
  readonly kind: "embedding";
  readonly pooling: EncoderPooling;
  /** By the task, behind everything that the graph does. */
  readonly normalize: boolean;
  readonly width: number;
  /** What the folder makes of the pooled vector; null: nothing. */
  readonly own: OwnVectors | null;
}

export interface LabelPurpose {
  readonly kind: "labels";
  readonly labels: readonly string[];
  readonly scores: EncoderScores;
  readonly head: Head;
}

export type Purpose = EmbeddingPurpose | LabelPurpose;

/** Between the tokens and the logits: dense, activation, perhaps a norm, and the product that makes the logits. */
export interface Head {
  readonly pooling: "cls" | "mean";
  readonly dense: string;
  readonly denseBias: boolean;
  readonly activation: Activation;
  readonly norm: string | null;
  readonly out: string;
}

const labelsMax = 100_000;
const labelCharactersMax = 256;

const purposeSchema = z.looseObject({
  architectures: z.array(z.string()).nullish(),
  id2label: z.record(z.string(), z.string().max(labelCharactersMax)).nullish(),
  num_labels: z.int().positive().max(labelsMax).nullish(),
  problem_type: z
    .enum(["single_label_classification", "multi_label_classification", "regression"])
    .nullish(),
  function_to_apply: z.string().nullish(),
  sbert_ce_default_activation_function: z.string().nullish(),
  sentence_transformers: z.looseObject({ activation_fn: z.string().nullish() }).nullish(),
});

type RawPurpose = z.infer<typeof purposeSchema>;

/**
 * Throws `model_unsupported` where the model is for something else, or what follows its last layer is something that Millrace
 * lacks; `model_folder_invalid`.
 */
export async function readPurpose(
  value: object,
  config: EncoderConfig,
  modules: Modules,
): Promise<Purpose> {
  if (existsSync(join(modules.baseDir, "adapter_config.json"))) {
    throw unsupported("an adapter beside its weights; merge it into them first");
  }
  const raw = checkShape("config.json", value, purposeSchema);
  const architecture = raw.architectures?.[0] ?? "";
  const labels = architecture.endsWith("ForSequenceClassification");
  if (labels && !modules.pools) return readLabels(raw, config);
  // With the head of a language model its encoder is the same, and the head is left out.
  const encodes = /^$|(?:(?<!LMHead)Model|ForMaskedLM|ForPreTraining)$/.test(architecture);
  if (!encodes && !labels) {
    const known = "known are the encoder itself and …ForSequenceClassification";
    throw unsupported(`the architecture ${architecture.slice(0, 80)}; ${known}`);
  }
  const { pooling, own, normalize, width } = await readOwnVectors(modules, config.width);
  return { kind: "embedding", pooling, normalize, width, own };
}

function readLabels(raw: RawPurpose, config: EncoderConfig): LabelPurpose {
  const labels = labelsOf(raw);
  return { kind: "labels", labels, scores: scoresOf(raw, labels.length), head: headOf(config) };
}

function labelsOf({ id2label, num_labels: count }: RawPurpose): string[] {
  // Two is what transformers takes where nothing is said.
  if (id2label == null) return Array.from({ length: count ?? 2 }, (_, id) => `LABEL_${id}`);
  const labels = new Map(Object.entries(id2label));
  if (labels.size === 0 || labels.size > labelsMax) {
    throw unsupported(`${labels.size} labels in id2label; from 1 to ${labelsMax} are possible`);
  }
  return Array.from({ length: labels.size }, (_, id) => {
    const label = labels.get(String(id));
    if (label !== undefined) return label;
    const message = `config.json: id2label has ${labels.size} labels, and none of them is ${id}`;
    throw new MillraceError("model_folder_invalid", message);
  });
}

const functions: ReadonlyMap<string, LabelPurpose["scores"]> = new Map([
  ["torch.nn.modules.linear.Identity", "identity"],
  ["torch.nn.modules.activation.Sigmoid", "sigmoid"],
  ["torch.nn.modules.activation.Softmax", "softmax"],
  ["none", "identity"],
  ["sigmoid", "sigmoid"],
  ["softmax", "softmax"],
] as const);

/** A cross-encoder's own function first; then as transformers' pipeline chooses. */
function scoresOf(raw: RawPurpose, labels: number): LabelPurpose["scores"] {
  const own =
    raw.sentence_transformers?.activation_fn ??
    raw.sbert_ce_default_activation_function ??
    raw.function_to_apply;
  if (own != null) {
    const scores = functions.get(own);
    if (scores === "softmax" && labels === 1) throw unsupported("a softmax of one label");
    if (scores !== undefined) return scores;
    const known = [...functions.keys()].join(", ");
    throw unsupported(
      `the function ${JSON.stringify(own.slice(0, 80))} for scores; known are ${known}`,
    );
  }
  if (labels === 1 || raw.problem_type === "multi_label_classification") return "sigmoid";
  return raw.problem_type === "regression" ? "identity" : "softmax";
}

function headOf(config: EncoderConfig): Head {
  if (config.kind === "bert") {
    const { head } = config.architecture;
    return { ...head, pooling: "cls", denseBias: true, norm: null };
  }
  const { pooling, activation, bias } = config.head;
  return {
    pooling,
    dense: "head.dense",
    denseBias: bias,
    activation,
    norm: "head.norm",
    out: "classifier",
  };
}
