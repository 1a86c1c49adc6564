/** A model of the program `image-classifier`: pictures. */
import type { ImageClassifierManifest } from "../../models/programs/manifest-image-classifier.js";
import { readLabels } from "../../models/programs/read-labels.js";
import { imageSteps, imageWeight } from "../../prepare/image/image-steps.js";
import type { JsonObject, Payload } from "../../work/payload.js";
import type { PrepareStep } from "../../work/piece.js";
import type { JoinParts, PrepareLimits, TaskModel } from "../task.js";
import { type ClassificationInput, isText, refuseKind } from "./input.js";
import { LabelAnswers } from "./label-answers.js";

export async function openPictureClassifier(
  dir: string,
  { name, labels, scores }: ImageClassifierManifest,
  limits: PrepareLimits,
): Promise<TaskModel<ClassificationInput>> {
  const answers = new LabelAnswers({ labels: await readLabels(dir, labels), scores });
  return new PictureClassifier(name, answers, limits);
}

class PictureClassifier implements TaskModel<ClassificationInput> {
  readonly #name: string;
  readonly #answers: LabelAnswers;
  readonly #limits: PrepareLimits;

  constructor(name: string, answers: LabelAnswers, limits: PrepareLimits) {
    this.#name = name;
    this.#answers = answers;
    this.#limits = limits;
  }

  complete(settings: JsonObject): JsonObject {
    refuseKind(settings, { name: this.#name, takes: "images" });
    return this.#answers.complete(settings);
  }

  weigh(): number {
    return imageWeight;
  }

  steps(
    input: ClassificationInput,
    { index, settings }: { readonly index: number; readonly settings: JsonObject },
  ): Iterable<PrepareStep> {
    if (isText(input)) throw new Error("classification: a text for a picture model");
    const resultBytes = this.#answers.resultBytes(settings);
    const param = `images[${index}]`;
    return imageSteps(input, { param, limits: this.#limits, resultBytes });
  }

  checkResult(value: Payload): string | null {
    return this.#answers.check(value);
  }

  join(parts: JoinParts): Payload {
    return this.#answers.join(parts, {});
  }
}
