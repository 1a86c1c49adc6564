/** What is checked before anything is taken: the task's fields, the model, whether it is ready, and the room that is left. */
import { MillraceError } from "millrace-client/wire";
import type { Task, TaskModel, TaskRequest } from "../../tasks/task.js";
import { Fields } from "../../work/fields.js";
import type { JsonObject } from "../../work/payload.js";
import type { TaskForm } from "../../work/task-form.js";
import type { SubmitRequest } from "../submit.js";
import type { Admission, Ticket } from "./admission.js";

export interface ServedModel {
  readonly name: string;
  readonly task: Task;
  readonly taskModel: TaskModel;
  /** As pipelines know it. */
  readonly key: string;
}

export interface DoorOptions {
  readonly models: ReadonlyMap<string, ServedModel>;
  readonly requestInputsMax: number;
  readonly admission: Admission;
  /** Why nobody can be served with the model now, or null. */
  readonly refusalOf: (key: string) => MillraceError | null;
}

/** A request that was let in. */
export interface Entered {
  readonly model: ServedModel;
  readonly inputs: TaskRequest["inputs"];
  /** Complete: the model's own where the caller named none. */
  readonly settings: JsonObject;
  readonly ticket: Ticket;
}

export class Door {
  readonly #options: DoorOptions;
  readonly #tasks: Map<string, Task>;
  #closed: MillraceError | null = null;

  constructor(options: DoorOptions) {
    this.#options = options;
    this.#tasks = new Map([...options.models.values()].map(({ task }) => [task.name, task]));
  }

  /** A model of a task that there was none of makes it one that is served. */
  serves(task: Task): void {
    this.#tasks.set(task.name, task);
  }

  get tasks(): ReadonlyMap<string, TaskForm> {
    return this.#tasks;
  }

  /** From now on every request is refused with this; the first reason stays, unless a worse one follows. */
  close(reason: MillraceError): void {
    if (this.#closed === null || reason.code === "internal") this.#closed = reason;
  }

  /** Throws before anything is taken. */
  enter(request: SubmitRequest, signal: AbortSignal): Entered {
    if (signal.aborted) throw cancelled();
    const task = this.#tasks.get(request.task);
    if (task === undefined) throw this.#unknownTask(request.task);
    new Fields(request.fields).refuseUnknown(task.fields);
    const { requestInputsMax, admission, refusalOf } = this.#options;
    const { inputs, settings, bytes } = task.read(request.fields, { requestInputsMax });
    const model = this.#modelFor(request.model, task);
    if (this.#closed !== null) throw this.#closed;
    const refusal = refusalOf(model.key);
    if (refusal !== null) throw refusal;
    const complete = model.taskModel.complete(settings);
    const ticket = admission.admit({
      items: inputs.length,
      bytes: Math.max(request.payloadBytes, bytes),
    });
    return { model, inputs, settings: complete, ticket };
  }

  #modelFor(name: string | null, task: Task): ServedModel {
    const { models } = this.#options;
    const able = [...models.values()].filter((model) => model.task === task);
    const [only, ...others] = able;
    const found = name === null && others.length === 0 ? only : models.get(name ?? "");
    if (found?.task === task) return found;
    const wrong =
      found === undefined
        ? `there is no model ${name}`
        : `${name} is a model to ${found.task.name}`;
    const what = name === null ? "name a model" : wrong;
    const names = able.map((model) => model.name).join(", ");
    throw new MillraceError("model_not_found", `${what}; there are: ${names}`, { param: "model" });
  }

  #unknownTask(name: string): MillraceError {
    const known = [...this.#tasks.keys()].join(", ");
    return new MillraceError("not_found", `no model is served to ${name}; there are: ${known}`);
  }
}

export function cancelled(): MillraceError {
  return new MillraceError("cancelled", "the caller left");
}
