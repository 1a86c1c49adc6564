/** A model of the program `encoder` with labels: texts, or pairs of texts. */
import { MillraceError } from "millrace-client/wire";
import type { EncoderManifest } from "../../models/programs/manifest-encoder.js";
import { EncoderTexts, inputFacts } from "../../prepare/text/encoder-texts.js";
import type { TokenTexts } from "../../prepare/text/token-texts.js";
import type { JsonObject, Payload } from "../../work/payload.js";
import type { PrepareStep } from "../../work/piece.js";
import type { JoinParts, PrepareLimits, TaskModel } from "../task.js";
import { type ClassificationInput, isText, refuseKind } from "./input.js";
import { LabelAnswers } from "./label-answers.js";

export async function openTextClassifier(
  dir: string,
  manifest: EncoderManifest,
  limits: PrepareLimits,
): Promise<TaskModel<ClassificationInput>> {
  const { labels, scores, name } = manifest;
  if (labels === null || scores === null) {
    throw new MillraceError("model_folder_invalid", `${name} gives vectors, and no labels`);
  }
  const texts = await EncoderTexts.ofModel(dir, manifest, limits);
  return new TextClassifier(name, new LabelAnswers({ labels, scores }), texts);
}

class TextClassifier implements TaskModel<ClassificationInput> {
  readonly #name: string;
  readonly #answers: LabelAnswers;
  readonly #texts: EncoderTexts;

  constructor(name: string, answers: LabelAnswers, texts: EncoderTexts) {
    this.#name = name;
    this.#answers = answers;
    this.#texts = texts;
  }

  get tokens(): TokenTexts {
    return this.#texts.tokens;
  }

  complete(settings: JsonObject): JsonObject {
    refuseKind(settings, { name: this.#name, takes: "texts" });
    return this.#answers.complete(settings);
  }

  weigh(input: ClassificationInput): number {
    return isText(input) ? this.#texts.weigh(input) : 0;
  }

  steps(
    input: ClassificationInput,
    { index, settings }: { readonly index: number; readonly settings: JsonObject },
  ): Iterable<PrepareStep> {
    if (!isText(input)) throw new Error("classification: a picture for a text model");
    const truncate = settings["truncate"] === true;
    return this.#texts.steps(input, {
      param: `texts[${index}]`,
      truncate,
      truncateFrom: settings["truncateFrom"] === "start" ? "start" : "end",
      embedding: null,
      resultBytes: () => this.#answers.resultBytes(settings),
    });
  }

  checkResult(value: Payload): string | null {
    return this.#answers.check(value);
  }

  join(parts: JoinParts): Payload {
    return this.#answers.join(parts, { ...inputFacts(parts.note) });
  }
}
