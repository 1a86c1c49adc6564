/**
 * READ SECOND, after front.ts. The way of every request through a front, whatever its protocol:
 *
 *   bytes ─► question ─► ask: all outcomes, in order    ─► valuesOf ─► the reply
 *                     └► askEach: each as it comes      ─► valueOf  ─► a part of the reply
 *
 * A front of Millrace's own words has its questions from read-question.ts; any other makes them of what its protocol says.
 */
import { apiLimits, MillraceError, type WorkClass } from "millrace-client/wire";
import type { InputOutcome, SubmitOutcome, SubmitSummary } from "../submit/submit.js";
import type { Asker } from "../work/asker.js";
import type { Payload } from "../work/payload.js";
import type { FrontParts } from "./front.js";

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
  /** Called at most once, before the first outcome: nothing at the door refuses it any more. */
  readonly onAccepted?: () => void;
}

export interface Answer {
  /** One for each input, in their order. */
  readonly outcomes: readonly InputOutcome[];
  readonly summary: SubmitSummary;
}

type AskParts = Pick<FrontParts, "submit" | "options" | "metrics">;

/**
 * Calls submit before it waits, as a body that is released needs it.
 *
 * @throws MillraceError as `Submit.submit`
 */
export async function ask(parts: AskParts, asker: Asker, question: Question): Promise<Answer> {
  const outcomes: InputOutcome[] = [];
  const onOutcome = (each: SubmitOutcome): void => {
    outcomes[each.index] = each.outcome;
  };
  const summary = await askEach(parts, asker, { ...question, onOutcome });
  return { outcomes, summary };
}

/**
 * The same, where each outcome becomes a part of the reply as it comes, and nothing waits for the last of them. Every input has had
 * its outcome when this resolves; what `onOutcome` throws ends the request, and what is left of it is not run.
 */
export async function askEach(
  { submit, options, metrics }: AskParts,
  asker: Asker,
  { onOutcome, ...question }: Question & { readonly onOutcome: (outcome: SubmitOutcome) => void },
): Promise<SubmitSummary> {
  const { class: workClass = null, tenant = "default", timeoutMs } = question;
  const { requestTimeoutMsDefault, requestTimeoutMsMax } = options;
  const grantedMs = Math.min(timeoutMs ?? requestTimeoutMsDefault, requestTimeoutMsMax);
  const { task, model, fields, payloadBytes } = question;
  const request = {
    id: asker.id,
    caller: asker.caller,
    span: asker.span ?? null,
    task,
    model,
    fields,
    payloadBytes,
    class: workClass,
    tenant: tenant.slice(0, apiLimits.tenantCharactersMax),
    deadlineAtMs: asker.arrivedAtMs + grantedMs,
    // What the server would have granted by itself is no wish of the caller.
    isDeadlineNamed: grantedMs !== requestTimeoutMsDefault && grantedMs < requestTimeoutMsMax,
  };
  const had: true[] = [];
  const summary = await submit.submit(request, asker.departed, {
    onAccepted: () => question.onAccepted?.(),
    onOutcome: (outcome) => {
      had[outcome.index] = true;
      onOutcome(outcome);
    },
  });
  asker.workClass = summary.class;
  metrics.requestFinished(summary.class, summary.timings, asker.span?.context);
  for (let index = 0; index < summary.inputs; index += 1) {
    if (had[index] === undefined) throw new Error(`submit: no outcome for input ${index}`);
  }
  return summary;
}

/**
 * For a protocol that cannot tell of one bad input among good ones.
 *
 * @throws MillraceError of the first input that has none
 */
export function valuesOf({ outcomes }: Answer): readonly Payload[] {
  return outcomes.map((outcome) => valueOf(outcome));
}

/**
 * `place`: as the protocol calls the input, where the error does not say it itself.
 *
 * @throws MillraceError where it has none
 */
export function valueOf(outcome: InputOutcome, place?: string): Payload {
  if ("value" in outcome) return outcome.value;
  const { code, message, param = place } = outcome.error;
  if (param === undefined) throw new MillraceError(code, message);
  const isNamed = outcome.error.param !== undefined;
  throw new MillraceError(code, isNamed ? message : `${param}: ${message}`, { param });
}
