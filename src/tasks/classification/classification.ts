/**
 * The task `classify`: texts, pairs of texts or pictures → which of the model's labels fit how well. Its models are of two programs;
 * what they answer is the same.
 */
import { MillraceError } from "millrace-client/wire";
import { manifestOf } from "../../models/engine-table.js";
import type { ModelFolder } from "../../models/registry.js";
import { heldImageBytes, readImages } from "../../prepare/image/read-images.js";
import { truncateEnds } from "../../prepare/text/encoder-texts.js";
import { heldBytes, readTextsOrPairs } from "../../prepare/text/read-texts.js";
import { badField, Fields } from "../../work/fields.js";
import type { JsonObject } from "../../work/payload.js";
import type { PrepareLimits, ReadLimits, Task, TaskModel, TaskRequest } from "../task.js";
import type { ClassificationInput, InputKind } from "./input.js";
import { openPictureClassifier } from "./picture-classifier.js";
import { classifySchema } from "./schema.js";
import { classificationTensors } from "./tensor-view.js";
import { openTextClassifier } from "./text-classifier.js";

export const classification: Task<ClassificationInput> = {
  name: "classify",
  inputFields: ["texts", "images"],
  fields: ["texts", "images", "topK", "raw", "truncate", "truncateFrom"],
  files: { field: "images", mediaTypes: ["image/*"] },
  schema: classifySchema,
  tensorView: classificationTensors,
  read: readClassify,
  open: openClassifier,
};

/** As far as any model goes; one that has fewer labels gives all of them. */
const topKMax = 100_000;

function readClassify(
  body: Readonly<Record<string, unknown>>,
  { requestInputsMax }: ReadLimits,
): TaskRequest<ClassificationInput> {
  const fields = new Fields(body);
  const topK = fields.integer("topK", [1, topKMax]);
  const raw = fields.flag("raw") ?? false;
  const truncate = fields.flag("truncate") ?? false;
  const truncateFrom = fields.choice("truncateFrom", truncateEnds) ?? "end";
  const [texts, images] = [fields.value("texts"), fields.value("images")];
  if ((texts === undefined) === (images === undefined)) {
    throw badField("texts", "exactly one of `texts` and `images` is needed");
  }
  const kind: InputKind = images === undefined ? "texts" : "images";
  const named = topK === undefined ? {} : { topK };
  const settings: JsonObject = { kind, raw, truncate, truncateFrom, ...named };
  if (kind === "texts") {
    const inputs = readTextsOrPairs(texts, "texts", requestInputsMax);
    return { inputs, settings, bytes: heldBytes(inputs) };
  }
  const inputs = readImages(images, "images", requestInputsMax);
  return { inputs, settings, bytes: heldImageBytes(inputs) };
}

async function openClassifier(
  { dir, manifest: served }: ModelFolder,
  limits: PrepareLimits,
): Promise<TaskModel<ClassificationInput>> {
  const manifest = manifestOf(served, "staged");
  const { name, program } = manifest;
  if (program === "encoder") return await openTextClassifier(dir, manifest, limits);
  if (program === "image-classifier") return await openPictureClassifier(dir, manifest, limits);
  const message = `${name} is run by the program ${program}, which gives no labels`;
  throw new MillraceError("model_folder_invalid", message);
}
