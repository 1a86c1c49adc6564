/**
 * The seam as fronts see it: nobody asks for more than their key allows. What a key may not is refused before the request is
 * read; what it has no more of, when it is read and before anything is taken.
 *
 *   caller ─► key still there? ─► model, class ─► submit ─► inputs are known ─► rate, quota ─► admission ─► …
 *                                                                                  └─ given back where the rest refuses
 */
import { MillraceError, type ModelInfo } from "millrace-client/wire";
import type { Submit, SubmitEvents, SubmitRequest, SubmitSummary } from "../submit/submit.js";
import { type Caller, mayUse } from "../work/caller.js";
import { type Access, type KeyAmount, type KeyUsage, openAccess } from "./access.js";

export interface GuardedRequest extends SubmitRequest {
  readonly caller: Caller;
}

export interface Guard {
  readonly access: Access;
  /** All that are served, so that a key hears of its own ones only. */
  readonly models: () => readonly Pick<ModelInfo, "name" | "task">[];
}

export class GuardedSubmit {
  readonly #submit: Submit;
  readonly #guard: Guard;

  /** Without a guard nobody is asked for a key. */
  constructor(submit: Submit, guard: Guard = { access: openAccess, models: () => [] }) {
    this.#submit = submit;
    this.#guard = guard;
  }

  /** What the caller's key has used in this month; null where nobody counts. */
  usageOf(caller: Caller): KeyUsage | null {
    return this.#guard.access.usageOf(caller);
  }

  /** As `Submit.submit`; throws `unauthenticated`, `forbidden`, `rate_limited`, `quota_exceeded` as well. */
  async submit(
    { caller: asked, ...request }: GuardedRequest,
    signal: AbortSignal,
    events: SubmitEvents,
  ): Promise<SubmitSummary> {
    const { access } = this.#guard;
    const caller = access.renewed(asked);
    const allowed: SubmitRequest = {
      ...request,
      model: this.#modelFor(caller, request),
      class: classFor(caller, request),
      tenant: caller.tenant ?? request.tenant,
    };
    let giveBack = (): void => {};
    let hasOutcome = false;
    try {
      return await this.#submit.submit(allowed, signal, {
        ...events,
        onInputs: (inputs) => {
          giveBack = access.take(caller, amountOf(inputs));
          events.onInputs?.(inputs);
        },
        onOutcome: (outcome) => {
          hasOutcome = true;
          events.onOutcome(outcome);
        },
      });
    } catch (error) {
      // Who leaves has had its turn; who was refused has had none.
      if (!hasOutcome && !signal.aborted) giveBack();
      throw error;
    }
  }

  /** The key's only model for the task where none is named. Names no model but the key's own. */
  #modelFor({ models }: Caller, { model, task }: SubmitRequest): string | null {
    if (models === null) return model;
    if (model !== null && !mayUse({ models }, model)) {
      throw forbidden(`Not ${model}: this key is for ${models.join(", ")}.`, "model");
    }
    const own = this.#guard
      .models()
      .filter((each) => each.task === task && mayUse({ models }, each.name))
      .map(({ name }) => name);
    if (model !== null && own.includes(model)) return model;
    const [only] = own;
    if (model === null && only !== undefined && own.length === 1) return only;
    const what = model === null ? "name a model" : `${model} is not served for ${task}`;
    const may = own.length === 0 ? "none" : own.join(", ");
    const message = `${what}; of this key's models these are: ${may}`;
    throw new MillraceError("model_not_found", message, { param: "model" });
  }
}

function classFor({ classes }: Caller, request: SubmitRequest): SubmitRequest["class"] {
  if (classes === null) return request.class;
  const [only] = classes;
  const wished = request.class ?? (classes.length === 1 ? (only ?? null) : null);
  if (wished === null || classes.includes(wished)) return wished;
  throw forbidden(`Not ${wished}: this key is for ${classes.join(", ")} work.`, "class");
}

/** Whatever the task: texts are what has characters, alone or several to an input. */
function amountOf(inputs: readonly unknown[]): KeyAmount {
  let characters = 0;
  for (const input of inputs) {
    const texts: readonly unknown[] = Array.isArray(input) ? input : [input];
    // Ids are numbers, thousands of them.
    if (typeof texts[0] !== "string") continue;
    for (const text of texts) if (typeof text === "string") characters += text.length;
  }
  return { inputs: inputs.length, characters };
}

function forbidden(message: string, param: string): MillraceError {
  return new MillraceError("forbidden", message, { param });
}
