/** The task `translate`: texts, or token ids, in one language → texts in another. */
import { join } from "node:path";
import { MillraceError, translateLimits } from "millrace-client/wire";
import { manifestOf } from "../../models/engine-table.js";
import type { GenerationManifest } from "../../models/manifest-generation.js";
import type { ModelFolder } from "../../models/registry.js";
import { normalLength } from "../../prepare/text/normal-form.js";
import { sentenceCharactersMax } from "../../prepare/text/split.js";
import { TextTokenizer } from "../../prepare/text/text-tokenizer.js";
import { TokenTexts } from "../../prepare/text/token-texts.js";
import { readHypotheses } from "../../work/generation.js";
import { type JsonObject, type Payload, valuesOnly } from "../../work/payload.js";
import type { PrepareStep } from "../../work/piece.js";
import type { JoinParts, PrepareLimits, Task, TaskModel } from "../task.js";
import { checkNBest, readTranslate, translateFields } from "./fields.js";
import { completedSettings, type TranslationInput } from "./input.js";
import { joinTranslation } from "./join.js";
import { translateSchema } from "./schema.js";
import { translationTensors } from "./tensor-view.js";
import { leastPiecesOfText, textSteps } from "./text-steps.js";
import { tokenIdSteps } from "./token-ids.js";

export const translation: Task<TranslationInput> = {
  name: "translate",
  inputFields: ["texts", "tokenIds"],
  fields: translateFields,
  schema: translateSchema,
  tensorView: translationTensors,
  read: readTranslate,
  async open({ dir, manifest: served }: ModelFolder, limits: PrepareLimits) {
    const manifest = manifestOf(served, "generation");
    const { targetTokenizer } = manifest.files;
    const tokenizer = await TextTokenizer.open({
      path: join(dir, manifest.files.tokenizer),
      ...(targetTokenizer === undefined ? {} : { targetPath: join(dir, targetTokenizer) }),
      unknownTokenId: manifest.generation.unknownTokenId,
    });
    return new TranslationTaskModel(manifest, tokenizer, limits);
  },
};

class TranslationTaskModel implements TaskModel<TranslationInput> {
  readonly tokens: TokenTexts;
  readonly #manifest: GenerationManifest;
  readonly #tokenizer: TextTokenizer;
  readonly #limits: PrepareLimits;

  constructor(manifest: GenerationManifest, tokenizer: TextTokenizer, limits: PrepareLimits) {
    this.#manifest = manifest;
    this.#tokenizer = tokenizer;
    this.#limits = limits;
    const { inputCharactersMax } = limits;
    const vocabulary = manifest.shape.sourceVocabulary;
    this.tokens = new TokenTexts({ tokenizer, vocabulary, inputCharactersMax });
  }

  complete(settings: JsonObject): JsonObject {
    const { name, generation, limits } = this.#manifest;
    const { beams, lengthPenalty, maxLength } = generation;
    const completed = completedSettings({
      beams,
      nBest: 1,
      lengthPenalty,
      maxLength,
      truncate: false,
      split: true,
      ...settings,
    });
    const { outputTokensMax } = limits;
    if (settings["maxLength"] !== undefined && completed.maxLength > outputTokensMax) {
      const message = `maxLength ${completed.maxLength} is over the ${outputTokensMax} tokens of ${name}`;
      throw new MillraceError("bad_request", message, { param: "maxLength" });
    }
    checkNBest(completed.nBest, completed.beams);
    return { ...completed };
  }

  /** What is not split is one tokenizer call, however long it is: that must not hold the event loop. */
  weigh(input: TranslationInput, settings: JsonObject): number {
    if (typeof input !== "string") return input.length / idsPerCharacter;
    const characters = normalLength(input);
    const isOneCall = settings["split"] === false && characters > sentenceCharactersMax;
    return isOneCall ? characters * 8 : characters;
  }

  leastPieces(input: TranslationInput, settings: JsonObject): Iterable<number> {
    const { inputCharactersMax } = this.#limits;
    if (typeof input !== "string") return [];
    return leastPiecesOfText(input, completedSettings(settings), inputCharactersMax);
  }

  steps(
    input: TranslationInput,
    at: { readonly index: number; readonly settings: JsonObject },
  ): Iterable<PrepareStep> {
    const { shape, limits, generation } = this.#manifest;
    const { inputTokensMax } = limits;
    const settings = completedSettings(at.settings);
    if (typeof input !== "string") {
      const { sourceVocabulary: vocabulary } = shape;
      const { padTokenId } = generation;
      return tokenIdSteps(input, { ...at, settings }, { vocabulary, inputTokensMax, padTokenId });
    }
    const { inputCharactersMax } = this.#limits;
    const { endTokenId } = generation;
    const tokenizer = this.#tokenizer;
    const model = { tokenizer, endTokenId, inputTokensMax, inputCharactersMax };
    return textSteps(input, { ...at, settings }, model);
  }

  checkResult(value: Payload): string | null {
    const hypotheses = readHypotheses(value);
    if (hypotheses === null) return "the model's answer is not a list of scored tokens";
    if (hypotheses.length > translateLimits.beamsMax) {
      return `the model's answer has ${hypotheses.length} hypotheses; at most ${translateLimits.beamsMax} can be asked for`;
    }
    const { targetVocabulary: vocabulary } = this.#manifest.shape;
    for (const { tokenIds } of hypotheses) {
      const bad = tokenIds.find((id) => id < 0 || id >= vocabulary);
      if (bad === undefined) continue;
      return `the model's answer has token ${bad}; the vocabulary has ${vocabulary} tokens`;
    }
    return null;
  }

  join(parts: JoinParts): Payload {
    return valuesOnly(joinTranslation(parts, (tokenIds) => this.#decode(tokenIds)));
  }

  /** As transformers' decoder of Marian models does: white space at the ends is the tokenizer's, not the model's. */
  #decode(tokenIds: readonly number[]): string {
    return this.#tokenizer.decode(tokenIds).trim();
  }
}

/** Checking an id takes so much less than tokenising a character. */
const idsPerCharacter = 256;
