/** The one table of tasks. A task is its folder and its line here. */
import { MillraceError } from "millrace-client/wire";
import { classification } from "./classification/classification.js";
import { embedding } from "./embedding/embedding.js";
import { ocr } from "./ocr/ocr.js";
import { reranking } from "./reranking/reranking.js";
import type { Task, TaskModel } from "./task.js";
import { inference } from "./tensors/inference.js";
import { detokenizing, tokenizing } from "./tokenization/tokenization.js";
import { translation } from "./translation/translation.js";

export const tasks: ReadonlyMap<string, Task> = new Map(
  [
    defineTask(translation),
    defineTask(embedding),
    defineTask(classification),
    defineTask(reranking),
    defineTask(inference),
    defineTask(ocr),
    defineTask(tokenizing),
    defineTask(detokenizing),
  ].map((task) => [task.name, task]),
);

/** @throws MillraceError `model_folder_invalid` where a manifest names a task that there is none of. */
export function taskOf(manifest: { readonly task: string }): Task {
  const task = tasks.get(manifest.task);
  if (task !== undefined) return task;
  const names = [...tasks.keys()].join(", ");
  const message = `there is no task ${JSON.stringify(manifest.task)}; there are: ${names}`;
  throw new MillraceError("model_folder_invalid", message);
}

/** What the model's folder serves beside its own task, by the names of the tasks. */
export function lentTasks(model: TaskModel): ReadonlyMap<string, TaskModel> {
  const lent = new Map<string, TaskModel>();
  for (const [name, task] of tasks) {
    const served = task.lend?.(model) ?? null;
    if (served !== null) lent.set(name, served);
  }
  return lent;
}

/** From here on nobody knows what its inputs are: whoever has one got it from `read`, and gives it back. */
function defineTask<Input>(task: Task<Input>): Task {
  return task;
}
