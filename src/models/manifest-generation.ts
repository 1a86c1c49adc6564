/** The manifest of a model that the generation engine runs: an encoder, and a decoder that writes token by token. */
import { z } from "zod";
import { generationLimits, generationPayload } from "../work/generation.js";
import type { Payload } from "../work/payload.js";
import { isLargeDecoder } from "./decoder-size.js";
import { type EngineDefinition, usualRowsMax } from "./engine-definition.js";
import type { ConvertedManifest } from "./manifest-base.js";
import {
  checkFiles,
  convertedFields,
  fileName,
  size,
  taskName,
  tokenId,
  wrongManifest,
} from "./manifest-fields.js";

/** Of what the graphs take and give (src/convert/marian/graphs.ts): the engine runs those of this version and no others. */
export const graphVersion = 2;

/** In `files.weights`, the ids of a shortlist. */
export const shortlistTensor = "output.token_ids";

/** The tokens that can be generated, where these are not all: the output has a row for each of them and no others. */
export interface ShortlistFacts {
  /** How many they are. */
  readonly tokens: number;
  /** Their ids, int32, ascending. The graph gives ids: who runs it need not read them. */
  readonly idsTensor: typeof shortlistTensor;
  /** Of the text that they were chosen from. */
  readonly sentences: number;
  /** How often a token had to be there. */
  readonly minCount: number;
  /** Of the text's tokens, how many can be generated: 1 is all. */
  readonly coverage: number;
}

/** How the model generates unless a request says otherwise, with Hugging Face's meaning of each. */
export interface GenerationRules {
  readonly startTokenId: number;
  /** Ends an output, and an input as well. */
  readonly endTokenId: number;
  readonly padTokenId: number;
  readonly unknownTokenId: number | null;
  /** Forced at the last position that `maxLength` allows. */
  readonly forcedEndTokenId: number | null;
  readonly badWords: readonly (readonly number[])[];
  readonly beams: number;
  /** In tokens, the start token counted. */
  readonly maxLength: number;
  readonly lengthPenalty: number;
  /** Hugging Face's meaning: true, false or "never". */
  readonly earlyStopping: boolean | "never";
  /** Beams: log-softmax once more after bad words were refused. */
  readonly renormalizeLogits: boolean;
}

export interface GenerationManifest extends ConvertedManifest {
  readonly engine: "generation";
  readonly graphVersion: typeof graphVersion;
  readonly family: "marian";
  readonly sourceLanguage?: string;
  readonly targetLanguage?: string;
  readonly files: {
    readonly encoder: string;
    readonly decoder: string;
    readonly weights: string;
    /** Text to the ids of an input; and ids of an output to text, unless the output has its own. */
    readonly tokenizer: string;
    /** Only where the output has a vocabulary of its own. */
    readonly targetTokenizer?: string;
  };
  readonly shape: {
    /** Ids of an input are below this. */
    readonly sourceVocabulary: number;
    /** Ids of an output, and every id in `generation`, are below this. */
    readonly targetVocabulary: number;
    /** Width of the hidden state. */
    readonly width: number;
    readonly encoderLayers: number;
    readonly decoderLayers: number;
    readonly decoderHeads: number;
    /** Positions that the model has, hence the most tokens of an input or an output. */
    readonly positions: number;
  };
  readonly shortlist?: ShortlistFacts;
  readonly generation: GenerationRules;
  readonly limits: { readonly inputTokensMax: number; readonly outputTokensMax: number };
}

const { beamsMax, lengthPenaltyMax } = generationLimits;

const schema: z.ZodType<GenerationManifest> = z.object({
  ...convertedFields,
  engine: z.literal("generation"),
  graphVersion: z.literal(
    graphVersion,
    "its graphs were made by another version of Millrace; convert it again: millrace convert DIR --out …",
  ),
  task: taskName,
  family: z.literal("marian"),
  sourceLanguage: z.string().exactOptional(),
  targetLanguage: z.string().exactOptional(),
  files: z.object({
    encoder: fileName,
    decoder: fileName,
    weights: fileName,
    tokenizer: fileName,
    targetTokenizer: fileName.exactOptional(),
  }),
  shape: z.object({
    sourceVocabulary: size,
    targetVocabulary: size,
    width: size,
    encoderLayers: size,
    decoderLayers: size,
    decoderHeads: size,
    positions: size,
  }),
  shortlist: z
    .object({
      tokens: size,
      idsTensor: z.literal(shortlistTensor),
      sentences: size,
      minCount: size,
      coverage: z.number().min(0).max(1),
    })
    .exactOptional(),
  generation: z.object({
    startTokenId: tokenId,
    endTokenId: tokenId,
    padTokenId: tokenId,
    unknownTokenId: tokenId.nullable(),
    forcedEndTokenId: tokenId.nullable(),
    badWords: z.array(z.array(tokenId).min(1)),
    beams: size.max(beamsMax),
    maxLength: size,
    lengthPenalty: z.number().min(-lengthPenaltyMax).max(lengthPenaltyMax),
    earlyStopping: z.union([z.boolean(), z.literal("never")]),
    renormalizeLogits: z.boolean(),
  }),
  limits: z.object({ inputTokensMax: size, outputTokensMax: size }),
});

/** 64 rows would be 21 sentences of 3 beams: of a large decoder twice as many get more done (docs/benchmarks.md), of a small one they do not. */
const beamRowsMax = 128;

export const generation: EngineDefinition<GenerationManifest> = {
  schemaFor: () => schema,
  check,
  mode: () => "continuous",
  sharesWeights: () => true,
  rowsMax: ({ generation: { beams }, shape: { decoderLayers: layers, width } }) =>
    beams > 1 && isLargeDecoder({ layers, width }) ? beamRowsMax : usualRowsMax,
  settings: ({ generation: { beams, maxLength, lengthPenalty } }) => ({
    beams,
    maxLength,
    lengthPenalty,
  }),
  unit: () => "tokens",
  info: ({ limits, sourceLanguage, targetLanguage }) => ({
    limits,
    ...(sourceLanguage === undefined ? {} : { sourceLanguage }),
    ...(targetLanguage === undefined ? {} : { targetLanguage }),
  }),
  sampler: (manifest) => (index) => sample(manifest, index),
  facts: ({
    shape,
    shortlist,
    limits,
    sourceLanguage,
    targetLanguage,
    generation: { beams, lengthPenalty },
  }) => [
    ["languages", `${sourceLanguage ?? "?"} → ${targetLanguage ?? "?"}`],
    [
      "shape",
      `${shape.encoderLayers} encoder and ${shape.decoderLayers} decoder layers, width ${shape.width}, ${vocabularies(shape)}`,
    ],
    ...(shortlist === undefined ? [] : [["shortlist", shortlistText(shortlist, shape)] as const]),
    ["limits", `input ${limits.inputTokensMax} tokens, output ${limits.outputTokensMax} tokens`],
    ["generation", `${beams} beams, length penalty ${lengthPenalty}`],
  ],
};

function vocabularies({ sourceVocabulary, targetVocabulary }: GenerationManifest["shape"]): string {
  return sourceVocabulary === targetVocabulary
    ? `vocabulary ${sourceVocabulary}`
    : `vocabulary ${sourceVocabulary} in, ${targetVocabulary} out`;
}

/** For people, for example `5130 of 6000 tokens, chosen from 66352 sentences; 99.98% of their tokens are among them`. */
export function shortlistText(
  { tokens, sentences, coverage }: ShortlistFacts,
  { targetVocabulary }: Pick<GenerationManifest["shape"], "targetVocabulary">,
): string {
  const percent = (Math.floor(coverage * 1e4) / 1e2).toFixed(2);
  return `${tokens} of ${targetVocabulary} tokens, chosen from ${sentences} sentences; ${percent}% of their tokens are among them`;
}

/**
 * Some 8 to 24 tokens from all over the vocabulary, generated greedily, to 4 to 20: many small items, which end one after the other, are
 * counted best in a short time. A large model ends none of usual length in a second.
 */
function sample({ shape, generation: rules, limits }: GenerationManifest, index: number): Payload {
  const length = Math.min(limits.inputTokensMax, 8 + ((index * 7) % 17));
  const tokenIds = Array.from({ length }, (_, place) =>
    place === length - 1
      ? rules.endTokenId
      : (index * 7_919 + place * 104_729) % shape.sourceVocabulary,
  );
  const { lengthPenalty } = rules;
  const maxLength = Math.min(rules.maxLength, 4 + ((index * 5) % 17));
  return generationPayload({
    tokenIds,
    settings: { beams: 1, nBest: 1, lengthPenalty, maxLength },
  });
}

/** What no single field can show. */
function check(manifest: GenerationManifest): void {
  const { files, fileSha256, shape, shortlist, generation, limits } = manifest;
  checkFiles(files, fileSha256);
  if (shape.sourceVocabulary !== shape.targetVocabulary && files.targetTokenizer === undefined) {
    throw wrongManifest("two vocabularies of different sizes need files.targetTokenizer");
  }
  checkTokenIds(shape, generation);
  if (shortlist !== undefined && shortlist.tokens > shape.targetVocabulary) {
    const tokens = `shortlist.tokens ${shortlist.tokens}`;
    throw wrongManifest(`${tokens} is over the vocabulary of ${shape.targetVocabulary}`);
  }
  if (shape.width % shape.decoderHeads !== 0) {
    const heads = `decoderHeads ${shape.decoderHeads}`;
    throw wrongManifest(`shape.width ${shape.width} is not a multiple of ${heads}`);
  }
  const lengths = { ...limits, maxLength: generation.maxLength };
  for (const [field, length] of Object.entries(lengths)) {
    if (length > shape.positions) {
      throw wrongManifest(
        `${field} ${length} is over the ${shape.positions} positions of the model`,
      );
    }
  }
}

function checkTokenIds(
  { sourceVocabulary, targetVocabulary }: GenerationManifest["shape"],
  {
    startTokenId,
    endTokenId,
    padTokenId,
    unknownTokenId,
    forcedEndTokenId,
    badWords,
  }: GenerationRules,
): void {
  const ids = { startTokenId, endTokenId, padTokenId, unknownTokenId, forcedEndTokenId };
  const all: [field: string, id: number | null][] = Object.entries(ids);
  for (const id of badWords.flat()) all.push(["badWords", id]);
  for (const [field, id] of all) {
    if (id === null || id < targetVocabulary) continue;
    throw wrongManifest(
      `generation.${field} ${id} is not in the vocabulary of ${targetVocabulary}`,
    );
  }
  if (endTokenId >= sourceVocabulary) {
    const where = `the vocabulary of inputs, which has ${sourceVocabulary}`;
    throw wrongManifest(`generation.endTokenId ${endTokenId} is not in ${where}`);
  }
}
