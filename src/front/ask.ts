/** A request of a front whose protocol replies once, with everything: asks, and has the outcomes in the order of the inputs. */
import { apiLimits, MillraceError, type WorkClass } from "millrace-client/wire";
import type { InputOutcome, SubmitEvents, SubmitSummary } from "../submit/submit.js";
import type { Caller } from "../work/caller.js";
import type { Payload } from "../work/payload.js";
import type { FrontParts } from "./front.js";

/** Who asks, as every listener hands it up; an exchange over HTTP is one. */
export interface Asker {
  readonly id: string;
  readonly caller: Caller;
  /** On the clock of `performance.now()`. */
  readonly arrivedAtMs: number;
  readonly departed: AbortSignal;
  /** Set where the reply knows it; for metrics. */
  workClass: WorkClass | "none";
}

export interface Question {
  readonly task: string;
  /** Null: the only one that is served for the task. */
  readonly model: string | null;
  readonly fields: Readonly<Record<string, unknown>>;
  /** Of the request as it came; it is counted as long as the request lives. */
  readonly payloadBytes: number;
  /** Default: by size. */
  readonly class?: WorkClass | null;
  readonly tenant?: string;
  /** Default: `requestTimeoutMsDefault`; at most `requestTimeoutMsMax`. */
  readonly timeoutMs?: number;
  /** For a protocol that says more than once how it goes; `answer` has all of it in the end. */
  readonly events?: Partial<SubmitEvents>;
}

export interface Answer {
  /** One for each input, in their order. */
  readonly outcomes: readonly InputOutcome[];
  readonly summary: SubmitSummary;
}

/**
 * Calls submit before it waits, as a body that is released needs it.
 *
 * @throws MillraceError as `Submit.submit`
 */
export async function ask(
  { submit, options, metrics }: Pick<FrontParts, "submit" | "options" | "metrics">,
  asker: Asker,
  question: Question,
): Promise<Answer> {
  const { class: workClass = null, tenant = "default", timeoutMs } = question;
  const { requestTimeoutMsDefault, requestTimeoutMsMax } = options;
  const grantedMs = Math.min(timeoutMs ?? requestTimeoutMsDefault, requestTimeoutMsMax);
  const { task, model, fields, payloadBytes, events = {} } = question;
  const request = {
    id: asker.id,
    caller: asker.caller,
    task,
    model,
    fields,
    payloadBytes,
    class: workClass,
    tenant: tenant.slice(0, apiLimits.tenantCharactersMax),
    deadlineAtMs: asker.arrivedAtMs + grantedMs,
  };
  const outcomes: InputOutcome[] = [];
  const summary = await submit.submit(request, asker.departed, {
    onAccepted: () => events.onAccepted?.(),
    onOutcome: (each) => {
      outcomes[each.index] = each.outcome;
      events.onOutcome?.(each);
    },
  });
  asker.workClass = summary.class;
  metrics.requestFinished(summary.class, summary.timings);
  for (let index = 0; index < summary.inputs; index += 1) {
    if (outcomes[index] === undefined) throw new Error(`submit: no outcome for input ${index}`);
  }
  return { outcomes, summary };
}

/**
 * For a protocol that cannot tell of one bad input among good ones.
 *
 * @throws MillraceError of the first input that has none
 */
export function valuesOf({ outcomes }: Answer): readonly Payload[] {
  return outcomes.map((outcome) => {
    if ("value" in outcome) return outcome.value;
    const { code, message, param } = outcome.error;
    throw new MillraceError(code, message, param === undefined ? {} : { param });
  });
}
