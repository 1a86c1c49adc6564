/** The seam as fronts see it: nobody asks for more than their key allows. */
import { MillraceError } from "millrace-client/wire";
import type { Submit, SubmitEvents, SubmitRequest, SubmitSummary } from "../submit/submit.js";
import type { Caller } from "../work/caller.js";

export interface GuardedRequest extends SubmitRequest {
  readonly caller: Caller;
}

export class GuardedSubmit {
  readonly #submit: Submit;

  constructor(submit: Submit) {
    this.#submit = submit;
  }

  /** As `Submit.submit`; throws `forbidden` as well. */
  submit(
    { caller, ...request }: GuardedRequest,
    signal: AbortSignal,
    events: SubmitEvents,
  ): Promise<SubmitSummary> {
    const { model, class: workClass } = request;
    const { models, classes, tenant } = caller;
    if (models !== null && (model === null || !models.includes(model))) {
      const what = model === null ? "Name a model: this key" : `Not ${model}: this key`;
      throw forbidden(`${what} is for ${models.join(", ")}.`, "model");
    }
    if (classes === null) return this.#pass(request, tenant, { signal, events });
    const [only] = classes;
    const wished = workClass ?? (classes.length === 1 ? (only ?? null) : null);
    if (wished !== null && !classes.includes(wished)) {
      throw forbidden(`Not ${wished}: this key is for ${classes.join(", ")} work.`, "class");
    }
    return this.#pass({ ...request, class: wished }, tenant, { signal, events });
  }

  #pass(
    request: SubmitRequest,
    tenant: string | null,
    { signal, events }: { readonly signal: AbortSignal; readonly events: SubmitEvents },
  ): Promise<SubmitSummary> {
    const of = tenant === null ? request : { ...request, tenant };
    return this.#submit.submit(of, signal, events);
  }
}

function forbidden(message: string, param: string): MillraceError {
  return new MillraceError("forbidden", message, { param });
}
