/**
 * The seam as fronts see it: nobody asks for more than their key allows. What a key may not is refused before the request is
 * read; what it has no more of, when it is read and before anything is taken.
 *
 *   caller ─► key still there? ─► model, class ─► submit ─► inputs are known ─► rate, quota ─► admission ─► …
 *                                                                                  └─ given back where the rest refuses
 *
 * Lines of durable jobs were counted when their job was made (jobs/job-door.ts), and are not counted again, wherever they are run.
 */
import { MillraceError } from "millrace-client/wire";
import type { Submit, SubmitEvents, SubmitRequest, SubmitSummary } from "../submit/submit.js";
import { type Caller, refuseOthersModel } from "../work/caller.js";
import { type Access, type KeyAmount, type KeyUsage, openAccess } from "./access.js";

export interface GuardedRequest extends SubmitRequest {
  readonly caller: Caller;
}

type GuardingAccess = Pick<Access, "renewed" | "take" | "usageOf">;

export class GuardedSubmit {
  readonly #submit: Submit;
  readonly #access: GuardingAccess;

  constructor(submit: Submit, access: GuardingAccess = openAccess) {
    this.#submit = submit;
    this.#access = access;
  }

  /** What the caller's key has used in this month; null where nobody counts. */
  usageOf(caller: Caller): KeyUsage | null {
    return this.#access.usageOf(caller);
  }

  /** As `Submit.submit`; throws `unauthenticated`, `forbidden`, `rate_limited`, `quota_exceeded` as well. */
  async submit(
    { caller: asked, ...request }: GuardedRequest,
    signal: AbortSignal,
    events: SubmitEvents,
  ): Promise<SubmitSummary> {
    const access = this.#access;
    const caller = access.renewed(asked);
    const { jobTenant } = asked;
    const wished: SubmitRequest =
      jobTenant === undefined ? request : { ...request, class: "bulk", tenant: jobTenant };
    const allowed: SubmitRequest = {
      ...wished,
      ...modelsFor(caller, wished),
      class: classFor(caller, wished),
      tenant: caller.tenant ?? wished.tenant,
    };
    let giveBack = (): void => {};
    let hasOutcome = false;
    try {
      return await this.#submit.submit(allowed, signal, {
        ...events,
        onInputs: (inputs) => {
          if (jobTenant === undefined) giveBack = access.take(caller, amountOf(inputs));
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
}

/** A key hears of its own models only. */
function modelsFor({ models }: Caller, { model }: SubmitRequest): Pick<SubmitRequest, "models"> {
  if (models === null) return {};
  if (model !== null) refuseOthersModel({ models }, model);
  return { models };
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
