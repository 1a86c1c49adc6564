/** What is checked before anything is taken: the task's fields, the model, whether it is ready, and the room that is left. */
import { MillraceError } from "millrace-client/wire";
import type { Task, TaskModel, TaskRequest } from "../../tasks/task.js";
import { Fields } from "../../work/fields.js";
import { meantUnnamed } from "../../work/model-names.js";
import type { JsonObject } from "../../work/payload.js";
import type { TaskForm } from "../../work/task-form.js";
import type { Admission, Ticket } from "../admission.js";
import { cancelled } from "../cancelled.js";
import type { SubmitRequest } from "../submit.js";

export interface ServedModel {
  readonly name: string;
  readonly task: Task;
  readonly taskModel: TaskModel;
  /** As pipelines know it. */
  readonly key: string;
}

export interface DoorOptions {
  /** All that can be asked for, those too that no model is served for now: a folder that comes may be the first. */
  readonly tasks: ReadonlyMap<string, Task>;
  readonly models: ReadonlyMap<string, ServedModel>;
  readonly requestInputsMax: number;
  readonly admission: Admission;
  /** Why nobody can be served with the model now, or null. */
  readonly refusalOf: (key: string) => MillraceError | null;
}

/** A request that was let in. */
export interface Entered {
  readonly model: ServedModel;
  /** The model's own, or one that it serves beside it. */
  readonly task: { readonly name: string; readonly model: TaskModel };
  readonly inputs: TaskRequest["inputs"];
  /** Complete: the model's own where the caller named none. */
  readonly settings: JsonObject;
  readonly ticket: Ticket;
}

export class Door {
  readonly #options: DoorOptions;
  #closed: MillraceError | null = null;

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  get tasks(): ReadonlyMap<string, TaskForm> {
    return this.#options.tasks;
  }

  /** From now on every request is refused with this; the first reason stays, unless a worse one follows. */
  close(reason: MillraceError): void {
    if (this.#closed === null || reason.code === "internal") this.#closed = reason;
  }

  /** Throws before anything is taken; so does `onInputs`, which is the last to be asked before there is room or none. */
  enter(
    request: SubmitRequest,
    signal: AbortSignal,
    onInputs?: (inputs: TaskRequest["inputs"]) => void,
  ): Entered {
    if (signal.aborted) throw cancelled();
    const task = this.#options.tasks.get(request.task);
    if (task === undefined) throw this.#unknownTask(request.task);
    const able = this.#modelsFor(task, request.models);
    new Fields(request.fields).refuseUnknown(task.fields);
    const { requestInputsMax, admission, refusalOf } = this.#options;
    const { inputs: all, settings, bytes } = task.read(request.fields, { requestInputsMax });
    const inputs = request.only === undefined ? all : wantedOf(all, request.only);
    const model = this.#modelFor(request.model, able);
    if (this.#closed !== null) throw this.#closed;
    const lent = model.taskModel.lent?.get(task.name);
    // What is lent runs nothing: it need not be loaded.
    const refusal = lent === undefined ? refusalOf(model.key) : null;
    if (refusal !== null) throw refusal;
    const taskModel = lent ?? model.taskModel;
    const complete = taskModel.complete(settings);
    onInputs?.(inputs);
    const ticket = admission.admit({
      items: inputs.length,
      bytes: Math.max(request.payloadBytes, bytes),
    });
    const asked = { name: task.name, model: taskModel };
    return { model, task: asked, inputs, settings: complete, ticket };
  }

  /** Comes before the fields: nothing that a caller could mend in them would help. */
  #modelsFor(task: Task, allowed: SubmitRequest["models"]): readonly ServedModel[] {
    const all = [...this.#options.models.values()].filter(
      ({ name }) => allowed === undefined || allowed.includes(name),
    );
    const able = all.filter((model) => serves(model, task));
    if (able.length > 0) return able;
    const served = [...new Set(all.map((model) => model.task.name))].join(", ");
    const others = served === "" ? "" : `, only for: ${served}`;
    const cure = "put one into the folder of --models and have that read again";
    const message = `no model is served for ${task.name}${others}; ${cure}`;
    throw new MillraceError("model_not_found", message, { param: "model" });
  }

  #modelFor(name: string | null, able: readonly ServedModel[]): ServedModel {
    const [only, ...others] = meantUnnamed(able);
    if (only !== undefined && name === null && others.length === 0) return only;
    const named = able.find((model) => model.name === name);
    if (named !== undefined) return named;
    const found = this.#options.models.get(name ?? "");
    const wrong =
      found === undefined
        ? `there is no model ${name}`
        : `${name} is a model to ${found.task.name}`;
    const what = name === null ? "name a model" : wrong;
    const names = listed(able.map((model) => model.name));
    throw new MillraceError("model_not_found", `${what}; there are: ${names}`, { param: "model" });
  }

  #unknownTask(name: string): MillraceError {
    const known = [...this.#options.tasks.keys()].join(", ");
    return new MillraceError("not_found", `there is no task ${name}; there are: ${known}`);
  }
}

/** What another node has not answered. */
function wantedOf<Input>(inputs: readonly Input[], only: readonly number[]): readonly Input[] {
  return only.map((place) => {
    const input = inputs[place];
    if (input !== undefined) return input;
    throw new MillraceError("bad_request", `there is no input ${place} of ${inputs.length}`);
  });
}

function serves({ task: own, taskModel }: ServedModel, task: Task): boolean {
  return own === task || taskModel.lent?.has(task.name) === true;
}

/** Of five hundred models, a few say how they are called. */
const listedMax = 20;

function listed(names: readonly string[]): string {
  const more = names.length - listedMax;
  const shown = names.slice(0, listedMax).join(", ");
  return more > 0 ? `${shown} and ${more} more` : shown;
}
