/** BERT and what came of it: one line each, which says how its tensors are called and where it goes another way. */

export interface TensorNames {
  readonly words: string;
  readonly positions: string;
  /** Null: tokens are of one type. */
  readonly types: string | null;
  readonly norm: string;
  /** Null: positions are not seen by attention. */
  readonly relative: string | null;
  /** Of one layer, behind the prefix of all layers. */
  readonly layers: string;
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly out: string;
  readonly attentionNorm: string;
  readonly fc1: string;
  readonly fc2: string;
  readonly outputNorm: string;
}

export interface Architecture {
  /** In front of every name but a head's, in a file of a model with a head; else there may be none. */
  readonly prefix: string;
  readonly names: TensorNames;
  /** Positions count from behind pad_token_id, and the table of types has one row. */
  readonly padFirst: boolean;
  /** What stands between the first token and the logits. */
  readonly head: {
    readonly dense: string;
    readonly activation: "tanh" | "relu";
    readonly out: string;
  };
}

const bertNames: TensorNames = {
  words: "embeddings.word_embeddings.weight",
  positions: "embeddings.position_embeddings.weight",
  types: "embeddings.token_type_embeddings.weight",
  norm: "embeddings.LayerNorm",
  relative: null,
  layers: "encoder.layer",
  query: "attention.self.query",
  key: "attention.self.key",
  value: "attention.self.value",
  out: "attention.output.dense",
  attentionNorm: "attention.output.LayerNorm",
  fc1: "intermediate.dense",
  fc2: "output.dense",
  outputNorm: "output.LayerNorm",
};

const distilNames: TensorNames = {
  ...bertNames,
  types: null,
  layers: "transformer.layer",
  query: "attention.q_lin",
  key: "attention.k_lin",
  value: "attention.v_lin",
  out: "attention.out_lin",
  attentionNorm: "sa_layer_norm",
  fc1: "ffn.lin1",
  fc2: "ffn.lin2",
  outputNorm: "output_layer_norm",
};

const mpnetNames: TensorNames = {
  ...bertNames,
  types: null,
  relative: "encoder.relative_attention_bias.weight",
  query: "attention.attn.q",
  key: "attention.attn.k",
  value: "attention.attn.v",
  out: "attention.attn.o",
  attentionNorm: "attention.LayerNorm",
};

const ownHead = {
  dense: "classifier.dense",
  activation: "tanh",
  out: "classifier.out_proj",
} as const;
const roberta: Architecture = {
  prefix: "roberta.",
  names: bertNames,
  padFirst: true,
  head: ownHead,
};

/** By `model_type`. */
export const architectures: ReadonlyMap<string, Architecture> = new Map([
  [
    "bert",
    {
      prefix: "bert.",
      names: bertNames,
      padFirst: false,
      head: { dense: "pooler.dense", activation: "tanh", out: "classifier" },
    },
  ],
  ["roberta", roberta],
  ["xlm-roberta", roberta],
  ["camembert", roberta],
  [
    "distilbert",
    {
      prefix: "distilbert.",
      names: distilNames,
      padFirst: false,
      head: { dense: "pre_classifier", activation: "relu", out: "classifier" },
    },
  ],
  ["mpnet", { prefix: "mpnet.", names: mpnetNames, padFirst: true, head: ownHead }],
]);
