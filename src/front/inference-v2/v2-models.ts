/** What the protocol says and asks of models, whatever carries it: over HTTP and gRPC it is the same. */
import { MillraceError, type ModelInfo, type ModelTensor } from "millrace-client/wire";
import { didYouMean } from "../../near-miss.js";
import type { Asker } from "../../work/asker.js";
import { type Caller, refuseOthersModel } from "../../work/caller.js";
import { refuseWhileDraining } from "../../work/draining.js";
import type { Payload } from "../../work/payload.js";
import type { TaskForm } from "../../work/task-form.js";
import { type NamedTensor, tensorsOf } from "../../work/tensors.js";
import { type Answer, ask, valuesOf } from "../ask.js";
import type { FrontParts, FrontTask } from "../front.js";
import type { InferBody } from "./infer-request.js";

/** A model has one: the protocol wants a name for it. */
export const onlyVersion = "1";

export const extensions: readonly string[] = [
  "binary_tensor_data",
  "schedule_policy",
  "statistics",
  "model_configuration",
  "model_repository",
];

export interface ModelTensors {
  readonly inputs: readonly ModelTensor[];
  readonly outputs: readonly ModelTensor[];
}

/** Who asks, and for which version, where one is named. */
export interface ModelAsker {
  readonly caller: Caller;
  readonly version?: string | undefined;
}

export class V2Models {
  readonly parts: FrontParts;

  constructor(parts: FrontParts) {
    this.parts = parts;
  }

  /** @throws MillraceError `forbidden`, `model_not_found` */
  find(name: string, { caller, version = "" }: ModelAsker): ModelInfo {
    refuseOthersModel(caller, name);
    const found = this.parts.views.models().find((model) => model.name === name);
    const shown = JSON.stringify(name.slice(0, 128));
    if (found === undefined)
      throw new MillraceError("model_not_found", `there is no model ${shown}`);
    if (version === "" || version === onlyVersion) return found;
    const message = `model ${shown} has version ${onlyVersion} only`;
    throw new MillraceError("model_not_found", message);
  }

  /** @throws MillraceError `bad_request` where its task cannot be told in tensors. */
  tensorsOf(model: ModelInfo): ModelTensors {
    const { name, task, inputs, outputs } = model;
    if (inputs !== undefined && outputs !== undefined) return { inputs, outputs };
    const view = this.#taskOf(model)?.tensorView;
    if (view !== undefined) return { inputs: view.inputs(model), outputs: view.outputs(model) };
    const message = `model ${name} has no tensors to tell of: it is served at /v1/${task}`;
    throw new MillraceError("bad_request", message);
  }

  /** Whether its `BYTES` are files; false for a name that is no model's. */
  takesFiles(name: string): boolean {
    const model = this.parts.views.models().find((each) => each.name === name);
    if (model === undefined) return false;
    return this.#taskOf(model)?.tensorView?.takesFiles?.(model) ?? false;
  }

  metadataOf(model: ModelInfo): object {
    const platform = this.platformOf(model);
    return { name: model.name, versions: [onlyVersion], platform, ...this.tensorsOf(model) };
  }

  platformOf({ family }: ModelInfo): string {
    return `${family}_onnxruntime`;
  }

  /** @throws MillraceError `draining`, `model_not_found`, `bad_request` */
  findForInfer(name: string, asked: ModelAsker): ModelInfo {
    refuseWhileDraining(this.parts.views);
    const model = this.find(name, asked);
    const task = this.#taskOf(model);
    if (task?.tensors !== undefined || task?.tensorView !== undefined) return model;
    const message = `model ${name} takes no tensors: it is served at /v1/${model.task}`;
    throw new MillraceError("bad_request", message);
  }

  /** Calls submit before it waits. The tensors that are wanted, in that order; @throws MillraceError as `ask`. */
  async infer(
    asker: Asker,
    model: ModelInfo,
    body: InferBody & { readonly payloadBytes: number },
  ): Promise<readonly NamedTensor[]> {
    const { tensors, tensorView } = this.#taskOf(model) ?? {};
    const names = body.outputs?.map(({ name }) => name);
    const fields =
      tensors === undefined
        ? fieldsBy(tensorView, body)
        : {
            [tensors.inputs]: body.inputs,
            ...(names === undefined ? {} : { [tensors.outputs]: names }),
          };
    const wanted = tensors === undefined ? this.#wanted(model, names) : null;
    const { class: workClass, tenant, timeoutMs, payloadBytes } = body;
    const of = { task: model.task, model: model.name, class: workClass };
    const answer = await ask(this.parts, asker, { ...of, tenant, timeoutMs, payloadBytes, fields });
    if (tensors !== undefined) return valuesOf(answer).flatMap(tensorsOf);
    const made = tensorView?.tensorsOf(rowsOf(answer)) ?? [];
    return wanted?.flatMap((name) => made.filter((each) => each.name === name)) ?? made;
  }

  #taskOf({ task }: ModelInfo): FrontTask | undefined {
    return this.parts.tasks.find(({ name }) => name === task);
  }

  /** @throws MillraceError `tensor_invalid` where the model has no such output. */
  #wanted(model: ModelInfo, names: readonly string[] | undefined): readonly string[] | null {
    if (names === undefined) return null;
    const known = this.tensorsOf(model).outputs.map(({ name }) => name);
    for (const name of names) {
      if (known.includes(name)) continue;
      const shown = JSON.stringify(name.slice(0, 128));
      const message = `the model has no output ${shown}${didYouMean(name, known)}; it has: ${known.join(", ")}`;
      throw new MillraceError("tensor_invalid", message, { param: "outputs" });
    }
    return names;
  }
}

/** The task's fields from its tensors, and of the parameters those that it takes. */
function fieldsBy(
  view: TaskForm["tensorView"],
  { inputs, parameters }: InferBody,
): Record<string, unknown> {
  if (view === undefined) throw new Error("a model that takes no tensors");
  const fields: Record<string, unknown> = {};
  for (const name of view.settings) {
    const value = parameters.value(name);
    if (value !== undefined) fields[name] = value;
  }
  return { ...fields, ...view.fieldsOf(inputs.list) };
}

/** The protocol has no error of one row: the first that has one fails the request, by its place. */
function rowsOf({ outcomes }: Answer): readonly Payload[] {
  return outcomes.map((outcome, index) => {
    if ("value" in outcome) return outcome.value;
    const { code, message, param } = outcome.error;
    const where = outcomes.length > 1 ? `row ${index}: ` : "";
    throw new MillraceError(code, `${where}${message}`, param === undefined ? {} : { param });
  });
}
