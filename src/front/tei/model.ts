/** Which of the models is the one that this protocol serves, and what is told of it. */
import { MillraceError, type ModelInfo } from "millrace-client/wire";
import { usualRowsMax } from "../../models/engine-definition.js";
import { type Caller, mayUse } from "../../work/caller.js";
import { meantUnnamed } from "../../work/model-names.js";
import type { JsonObject } from "../../work/payload.js";
import { modelsOf } from "../callers-models.js";
import type { FrontParts } from "../front.js";

/** What a model there can be for, by the names that Millrace has for it. */
export type TeiTask = "embed" | "rerank" | "classify";

const teiTasks: readonly TeiTask[] = ["embed", "rerank", "classify"];

export interface TeiModel extends ModelInfo {
  readonly task: TeiTask;
}

/**
 * The one that `--tei-model` names; else the only one that is served for any of these tasks, else the only one for the first of them
 * that has one.
 *
 * @throws MillraceError `model_not_found`
 */
export function teiModel(
  { views, options }: Pick<FrontParts, "views" | "options">,
  caller: Caller,
): TeiModel {
  const { teiModel: named } = options;
  const able = modelsOf(views, caller).filter(isTei);
  const found =
    named === null
      ? teiTasks
          .map((task) => meantUnnamed(able.filter((model) => model.task === task)))
          .find(isOnly)?.[0]
      : able.find(({ name }) => name === named);
  if (found !== undefined) return found;
  const message =
    named === null || !mayUse(caller, named)
      ? "no model is the only one for what this protocol serves: name one, --tei-model"
      : `--tei-model names ${named}, which is not served for embed, rerank or classify`;
  throw new MillraceError("model_not_found", message);
}

function isOnly(models: readonly TeiModel[]): boolean {
  return models.length === 1;
}

function isTei(model: ModelInfo): model is TeiModel {
  return teiTasks.some((task) => task === model.task);
}

/** `GET /info`; where Millrace has no such number, one that its readers can live with. */
export function infoOf(
  { name, precision, limits, ...model }: TeiModel,
  { options }: Pick<FrontParts, "options">,
  version: string,
): JsonObject {
  const { queuedItemsMax, requestInputsMax, rowsMax } = options;
  const { inputTokensMax = 0 } = limits;
  return {
    model_id: name,
    model_sha: null,
    model_dtype: precision === "f32" ? "float32" : precision,
    served_model_name: name,
    model_type: typeOf(model),
    max_concurrent_requests: queuedItemsMax,
    max_input_length: inputTokensMax,
    max_batch_tokens: (rowsMax ?? usualRowsMax) * inputTokensMax,
    max_batch_requests: null,
    max_client_batch_size: requestInputsMax,
    auto_truncate: false,
    tokenization_workers: 1,
    version,
    sha: null,
    docker_label: null,
  };
}

function typeOf({ task, embedding, labels = [] }: Pick<TeiModel, "task" | "embedding" | "labels">) {
  if (task === "embed") return { embedding: { pooling: embedding?.pooling ?? "mean" } };
  const byId = Object.fromEntries(labels.map((label, id) => [String(id), label]));
  const byLabel = Object.fromEntries(labels.map((label, id) => [label, id]));
  const told = { id2label: byId, label2id: byLabel };
  return task === "rerank" ? { reranker: told } : { classifier: told };
}
