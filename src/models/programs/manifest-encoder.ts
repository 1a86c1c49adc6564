/**
 * The program `encoder`: text in, one run, and out come embeddings or the logits of labels. Its graph is written by
 * `millrace convert`. Tokens of a batch of B texts are one flat list of T, without padding; only attention sees them as
 * `[B, S]`, through two lists of places.
 *
 *   inputs    ids i32 [T]                  positions i32 [T] from 0 in each text      types i32 [T], where shape.tokenTypes > 0
 *             mask f32 [B,1,1,S]           0 where there is a token, -1e9 where there is none
 *             place_tokens i32 [B·S]       the token of each place (any token where the place is empty)
 *             token_places i32 [T]         the place of each token
 *             sentence_shape i64 [2]       B, S
 *             pool f32 [B,1,S], layer i64 [1]    embeddings only: the weight of each place in the sum; the layer, 0 to `layers`
 *   outputs   embeddings:   pooled f32 [B,D]: the weighted sum; max f32 [B,D]; tokens f32 [T,D];
 *                           own f32 [B,E], where shape.embeddingWidth is not D or the folder has more than a pooling
 *             labels:       logits f32 [B, labels]
 *
 * S is a multiple of 16, at most the least one that holds `positions` tokens: then what a text gives is the same for every S
 * and every company, to the byte in int8. Every output is computed whichever are fetched; what is not fetched is not
 * copied. A layer that is not wanted costs nothing. Tokens of the wanted one lie in `tokens` in the order of `ids`.
 */
import { z } from "zod";
import {
  type EncoderPooling,
  type EncoderScores,
  encoderPayload,
  encoderPoolings,
} from "../../work/encoding.js";
import type { Payload } from "../../work/payload.js";
import { toldLabels } from "../engine-definition.js";
import type { ConvertedManifest } from "../manifest-base.js";
import {
  checkFiles,
  convertedFields,
  fileName,
  size,
  taskName,
  tokenId,
  wrongManifest,
} from "../manifest-fields.js";
import type { ProgramDefinition } from "../manifest-staged.js";

export interface EncoderManifest extends ConvertedManifest {
  readonly engine: "staged";
  readonly program: "encoder";
  readonly files: {
    readonly encoder: string;
    readonly weights: string;
    readonly tokenizer: string;
  };
  readonly shape: {
    /** Ids of an input are below this. */
    readonly vocabulary: number;
    /** Width of the hidden state: D. */
    readonly width: number;
    readonly layers: number;
    readonly heads: number;
    /** Positions that the model has, hence the most tokens of an input. */
    readonly positions: number;
    /** Kinds of tokens: 2 where the second text of a pair is told from the first; 0: the graph has no such input. */
    readonly tokenTypes: number;
  };
  readonly unknownTokenId: number | null;
  /** How the folder makes one vector of a text; null for a model with labels. */
  readonly embedding: {
    readonly pooling: EncoderPooling;
    readonly normalize: boolean;
    /** Of the folder's own vectors: E, which is D unless a Dense module follows. */
    readonly width: number;
    /** The graph has the output `own`, which is the folder's pooling and what follows it. */
    readonly own: boolean;
  } | null;
  /** In the order of the logits; null for a model of embeddings. */
  readonly labels: readonly string[] | null;
  /** What makes scores of logits, `identity`: they are the scores; null for a model of embeddings. */
  readonly scores: EncoderScores | null;
  readonly limits: { readonly inputTokensMax: number };
}

const schema: z.ZodType<EncoderManifest> = z.object({
  ...convertedFields,
  engine: z.literal("staged"),
  program: z.literal("encoder"),
  task: taskName,
  files: z.object({ encoder: fileName, weights: fileName, tokenizer: fileName }),
  shape: z.object({
    vocabulary: size,
    width: size,
    layers: size,
    heads: size,
    positions: size,
    tokenTypes: z.int().nonnegative().max(16),
  }),
  unknownTokenId: tokenId.nullable(),
  embedding: z
    .object({
      pooling: z.enum(encoderPoolings),
      normalize: z.boolean(),
      width: size,
      own: z.boolean(),
    })
    .nullable(),
  labels: z.array(z.string().max(256)).min(1).max(100_000).nullable(),
  scores: z.enum(["softmax", "sigmoid", "identity"]).nullable(),
  limits: z.object({ inputTokensMax: size }),
});

export const encoder: ProgramDefinition<EncoderManifest> = {
  sharesWeights: true,
  schema,
  check,
  settings: ({ embedding }): Readonly<Record<string, string | boolean>> =>
    embedding === null ? {} : { pooling: embedding.pooling, normalize: embedding.normalize },
  unit: () => "tokens",
  info: ({ limits, embedding, labels }) => ({
    limits,
    ...(embedding === null ? {} : { embedding: toldOf(embedding) }),
    ...toldLabels(labels),
  }),
  facts: (manifest) => [
    ["shape", shapeText(manifest.shape)],
    ["gives", givesText(manifest)],
    ["limits", `input ${manifest.limits.inputTokensMax} tokens`],
  ],
  sampler: (manifest) => (index) => sample(manifest, index),
};

function toldOf({ pooling, width, normalize }: NonNullable<EncoderManifest["embedding"]>) {
  return { pooling, width, normalize };
}

/** Some 8 to 64 tokens from all over the vocabulary. */
function sample({ shape, embedding, limits }: EncoderManifest, index: number): Payload {
  const length = Math.min(limits.inputTokensMax, 8 + ((index * 13) % 57));
  const tokens = Int32Array.from(
    { length },
    (_, place) => (index * 7_919 + place * 104_729) % shape.vocabulary,
  );
  const wish = embedding === null ? null : ({ pooling: "mean", layer: shape.layers } as const);
  return encoderPayload({ tokens, types: null, embedding: wish });
}

function shapeText({ layers, heads, width, vocabulary }: EncoderManifest["shape"]): string {
  return `${layers} layers of ${heads} heads, width ${width}, vocabulary ${vocabulary}`;
}

function givesText({ embedding, labels, scores }: EncoderManifest): string {
  if (embedding !== null) {
    const norm = embedding.normalize ? ", normalised" : "";
    return `embeddings of ${embedding.width}, pooling ${embedding.pooling}${norm}`;
  }
  return `${labels?.length ?? 0} labels, ${scores ?? "no"} scores`;
}

/** What no single field can show. */
function check({
  files,
  fileSha256,
  shape,
  embedding,
  labels,
  scores,
  limits,
}: EncoderManifest): void {
  checkFiles(files, fileSha256);
  if (shape.width % shape.heads !== 0) {
    throw wrongManifest(`shape.width ${shape.width} is not a multiple of heads ${shape.heads}`);
  }
  if (limits.inputTokensMax > shape.positions) {
    const positions = `the ${shape.positions} positions of the model`;
    throw wrongManifest(`inputTokensMax ${limits.inputTokensMax} is over ${positions}`);
  }
  if ((embedding === null) === (labels === null) || (labels === null) !== (scores === null)) {
    throw wrongManifest("it needs either embedding, or labels and scores");
  }
  if (embedding !== null && !embedding.own && embedding.width !== ownWidth(embedding, shape)) {
    throw wrongManifest(`embedding.width ${embedding.width} is not what its pooling gives`);
  }
}

function ownWidth(
  { pooling }: NonNullable<EncoderManifest["embedding"]>,
  { width }: EncoderManifest["shape"],
): number {
  return pooling === "mean-max" ? 2 * width : width;
}
