/**
 * Reads what Hugging Face's config.json says of an encoder, with the meaning that transformers gives it. A setting that
 * would change the results and that Millrace does not have is refused, never ignored.
 */
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { checkShape, readJsonFile } from "../../models/read-json.js";
import { type Activation, activations } from "../activations.js";
import { type Architecture, architectures } from "./architectures.js";

/** What all encoders have. */
interface EncoderBase {
  readonly modelType: string;
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly feedForward: number;
  /** The most tokens of an input. */
  readonly positions: number;
  readonly epsilon: number;
  readonly activation: Activation;
}

/** BERT and what came of it: LayerNorm behind each residual, a table of positions. */
export interface BertConfig extends EncoderBase {
  readonly kind: "bert";
  readonly architecture: Architecture;
  /** Rows of the table of positions that are in front of the first token's. */
  readonly positionsBefore: number;
  /** Rows of the table of token types; 0: there is none. */
  readonly typeRows: number;
  /** Kinds of tokens that the graph is told; 0: none, all tokens are of the first. */
  readonly tokenTypes: number;
  /** Buckets of relative positions, which add to the scores of attention; 0: none. */
  readonly relativeBuckets: number;
}

/** ModernBERT: LayerNorm before each product, rotated queries and keys, a gated feed-forward. */
export interface ModernConfig extends EncoderBase {
  readonly kind: "modern";
  readonly attentionBias: boolean;
  readonly feedForwardBias: boolean;
  readonly normBias: boolean;
  /** Of each layer: whether it attends to the whole sentence or to a window around each token. */
  readonly global: readonly boolean[];
  /** Tokens on either side that a window reaches. */
  readonly reach: number;
  readonly thetaGlobal: number;
  readonly thetaLocal: number;
  readonly head: {
    readonly pooling: "cls" | "mean";
    readonly activation: Activation;
    readonly bias: boolean;
  };
}

export type EncoderConfig = BertConfig | ModernConfig;

const size = z.int().positive().max(1_000_000_000);
/** Far over any model; keeps a hostile number from becoming a list of tensors. */
const layers = size.max(1000);
/** Likewise: tables are made for them, which no tensor of the file bounds. */
const rotated = size.max(131_072);
const epsilon = z.number().positive().max(1);
const theta = z.number().positive();
const configBytesMax = 4 * 1024 * 1024;

/** Settings that Millrace lacks, each with the values that change nothing. */
const lackingSettings: Readonly<Record<string, readonly unknown[]>> = {
  is_decoder: [false],
  add_cross_attention: [false],
  position_embedding_type: ["absolute"],
  pruned_heads: [],
  quantization_config: [],
  adapters: [],
  auto_map: [],
};

/** Defaults are those of transformers, which leaves a key out where it has the default. */
const bertSchema = z.looseObject({
  vocab_size: size,
  hidden_size: size,
  num_hidden_layers: layers,
  num_attention_heads: size,
  intermediate_size: size,
  max_position_embeddings: size.default(512),
  hidden_act: z.string().default("gelu"),
  type_vocab_size: z.int().nonnegative().max(1_000_000).default(2),
  layer_norm_eps: epsilon.default(1e-12),
  pad_token_id: z.int().nonnegative().nullish(),
  relative_attention_num_buckets: z.int().min(4).max(100_000).default(32),
});

const distilSchema = z.looseObject({
  vocab_size: size,
  dim: size,
  n_layers: layers,
  n_heads: size,
  hidden_dim: size,
  max_position_embeddings: size.default(512),
  activation: z.string().default("gelu"),
});

const ropeSchema = z.looseObject({ rope_theta: theta.nullish(), rope_type: z.string().nullish() });

const modernSchema = z.looseObject({
  vocab_size: size,
  hidden_size: size,
  num_hidden_layers: layers,
  num_attention_heads: size,
  intermediate_size: size,
  max_position_embeddings: rotated.default(8192),
  hidden_activation: z.string().default("gelu"),
  norm_eps: epsilon.default(1e-5),
  norm_bias: z.boolean().default(false),
  attention_bias: z.boolean().default(false),
  mlp_bias: z.boolean().default(false),
  global_attn_every_n_layers: size.default(3),
  layer_types: z.array(z.enum(["full_attention", "sliding_attention"])).nullish(),
  local_attention: size.default(128),
  global_rope_theta: theta.nullish(),
  local_rope_theta: theta.nullish(),
  rope_parameters: z
    .looseObject({ full_attention: ropeSchema.nullish(), sliding_attention: ropeSchema.nullish() })
    .nullish(),
  rope_scaling: z.unknown().optional(),
  classifier_pooling: z.enum(["cls", "mean"]).default("cls"),
  classifier_activation: z.string().default("gelu"),
  classifier_bias: z.boolean().default(false),
});

/** Of transformers 5 and before where config.json says nothing. */
const thetaDefaults = { global: 160_000, local: 10_000 } as const;

/** config.json as it is; throws `model_folder_invalid`. */
export async function readConfigFile(dir: string): Promise<object> {
  const path = join(dir, "config.json");
  return checkShape(path, await readJsonFile(path, configBytesMax), z.looseObject({}));
}

/**
 * Of what config.json has. Throws `model_folder_invalid` where a value is missing or has a wrong type, `model_unsupported`
 * where the model is well described and is not one that Millrace runs.
 */
export function readEncoderConfig(value: object): EncoderConfig {
  const { model_type: type } = checkShape(
    "config.json",
    value,
    z.looseObject({ model_type: z.string() }),
  );
  refuseLackingSettings(value);
  if (type === "modernbert") return checked(readModern(value));
  const architecture = architectures.get(type);
  if (architecture === undefined) throw unsupported(`model_type ${JSON.stringify(type)}`);
  return checked(
    type === "distilbert" ? readDistil(value, architecture) : readBert(value, type, architecture),
  );
}

function knownActivation(key: string, name: string): Activation {
  const activation = activations.get(name);
  if (activation !== undefined) return activation;
  const known = [...activations.keys()].join(", ");
  throw unsupported(`${key} ${JSON.stringify(name)}; known are ${known}`);
}

function readBert(value: object, modelType: string, architecture: Architecture): BertConfig {
  const raw = checkShape("config.json", value, bertSchema);
  // MPNet in transformers counts from behind the token 1, whatever its file says of padding.
  const padding = modelType === "mpnet" ? 1 : (raw.pad_token_id ?? 1);
  const before = architecture.padFirst ? padding + 1 : 0;
  const positions = raw.max_position_embeddings - before;
  if (positions < 1) {
    const rows = `max_position_embeddings ${raw.max_position_embeddings}`;
    throw unsupported(`${rows}, none of which is behind pad_token_id ${padding}`);
  }
  const typeRows = architecture.names.types === null ? 0 : raw.type_vocab_size;
  // RoBERTa and what came of it never tell their tokens apart, however many rows the table has.
  const tokenTypes = architecture.padFirst || typeRows === 1 ? 0 : typeRows;
  if (tokenTypes > tokenTypesMax) {
    throw unsupported(`type_vocab_size ${typeRows}; the most is ${tokenTypesMax}`);
  }
  return {
    kind: "bert",
    modelType,
    architecture,
    vocabulary: raw.vocab_size,
    width: raw.hidden_size,
    layers: raw.num_hidden_layers,
    heads: raw.num_attention_heads,
    feedForward: raw.intermediate_size,
    positions,
    positionsBefore: before,
    typeRows,
    tokenTypes,
    epsilon: raw.layer_norm_eps,
    activation: knownActivation("hidden_act", raw.hidden_act),
    relativeBuckets: architecture.names.relative === null ? 0 : raw.relative_attention_num_buckets,
  };
}

const tokenTypesMax = 16;

function readDistil(value: object, architecture: Architecture): BertConfig {
  const raw = checkShape("config.json", value, distilSchema);
  return {
    kind: "bert",
    modelType: "distilbert",
    architecture,
    vocabulary: raw.vocab_size,
    width: raw.dim,
    layers: raw.n_layers,
    heads: raw.n_heads,
    feedForward: raw.hidden_dim,
    positions: raw.max_position_embeddings,
    positionsBefore: 0,
    typeRows: 0,
    tokenTypes: 0,
    epsilon: 1e-12,
    activation: knownActivation("activation", raw.activation),
    relativeBuckets: 0,
  };
}

function readModern(value: object): ModernConfig {
  const raw = checkShape("config.json", value, modernSchema);
  if (raw.rope_scaling != null) throw unsupported("rope_scaling, which Millrace lacks");
  const { full_attention: full, sliding_attention: sliding, ...others } = raw.rope_parameters ?? {};
  const [other] = Object.keys(others);
  if (other !== undefined)
    throw unsupported(`rope_parameters.${other.slice(0, 80)}, for all layers`);
  for (const { rope_type: type } of [full ?? {}, sliding ?? {}]) {
    if (type == null || type === "default") continue;
    throw unsupported(`rope_type ${JSON.stringify(type)}; known is default`);
  }
  const types = raw.layer_types ?? null;
  if (types !== null && types.length !== raw.num_hidden_layers) {
    throw unsupported(`${types.length} layer_types for ${raw.num_hidden_layers} layers`);
  }
  const thetaGlobal = full?.rope_theta ?? raw.global_rope_theta ?? thetaDefaults.global;
  // Null in an older file: local layers turn as global ones do.
  const olderLocal = raw.local_rope_theta === null ? thetaGlobal : raw.local_rope_theta;
  return {
    kind: "modern",
    modelType: "modernbert",
    vocabulary: raw.vocab_size,
    width: raw.hidden_size,
    layers: raw.num_hidden_layers,
    heads: raw.num_attention_heads,
    feedForward: raw.intermediate_size,
    positions: raw.max_position_embeddings,
    epsilon: raw.norm_eps,
    activation: knownActivation("hidden_activation", raw.hidden_activation),
    attentionBias: raw.attention_bias,
    feedForwardBias: raw.mlp_bias,
    normBias: raw.norm_bias,
    global: Array.from({ length: raw.num_hidden_layers }, (_, layer) =>
      types === null
        ? layer % raw.global_attn_every_n_layers === 0
        : types[layer] === "full_attention",
    ),
    reach: Math.floor(raw.local_attention / 2),
    thetaGlobal,
    thetaLocal: sliding?.rope_theta ?? olderLocal ?? thetaDefaults.local,
    head: {
      pooling: raw.classifier_pooling,
      activation: knownActivation("classifier_activation", raw.classifier_activation),
      bias: raw.classifier_bias,
    },
  };
}

function checked<Config extends EncoderConfig>(config: Config): Config {
  const { width, heads } = config;
  if (width % heads !== 0) {
    throw unsupported(`hidden size ${width}, which is not a multiple of its ${heads} heads`);
  }
  if (config.kind === "modern" && (width / heads) % 2 !== 0) {
    throw unsupported(`heads of ${width / heads}: only an even number can be rotated`);
  }
  return config;
}

function refuseLackingSettings(raw: object): void {
  const given = new Map<string, unknown>(Object.entries(raw));
  for (const [key, neutral] of Object.entries(lackingSettings)) {
    const value = given.get(key);
    if (value == null || neutral.includes(value) || isEmpty(value)) continue;
    throw unsupported(`${key} ${JSON.stringify(value).slice(0, 80)}, which Millrace lacks`);
  }
}

function isEmpty(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}

export function unsupported(message: string): MillraceError {
  return new MillraceError("model_unsupported", `this model has ${message}`);
}
