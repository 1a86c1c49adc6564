/**
 * READ FIRST. What a node hears from the edges of its deployment: messages of NATS ⇄ requests of its own submit.
 *
 *   ask ─► question ─► submit ─► outcomes, several together ─► done │ failed
 *
 * Who may ask for what was judged where the caller came in, with the keys that are there; nothing but a deployment's own servers
 * reaches its subjects.
 */
import type { MillraceError } from "millrace-client/wire";
import type { NatsFront, NatsRequest } from "../../listen/nats/nats-front.js";
import {
  encodeAccepted,
  encodeDone,
  encodeFailed,
  encodeOutcomes,
  type OutcomeMessage,
  readAsk,
} from "../../nats/messages.js";
import type { SubmitOutcome } from "../../submit/submit.js";
import type { Front, FrontParts } from "../front.js";

type NatsFrontParts = Pick<FrontParts, "submit" | "metrics">;

export function openNatsFront(parts: NatsFrontParts): Front {
  return { nats: new NodeFront(parts) };
}

class NodeFront implements NatsFront {
  readonly name = "nats";
  readonly #parts: NatsFrontParts;

  constructor(parts: NatsFrontParts) {
    this.#parts = parts;
  }

  async handle(request: NatsRequest): Promise<void> {
    const { asker } = request;
    const { only, remainingMs, ...ask } = readAsk(request.head, request.tail);
    const deadlineAtMs = remainingMs === null ? null : asker.arrivedAtMs + remainingMs;
    using telling = new Telling(request);
    const { submit, metrics } = this.#parts;
    const wanted = only === null ? {} : { only };
    const { caller, span = null } = asker;
    const asked = { ...ask, ...wanted, deadlineAtMs, caller, span };
    const submitting = submit.submit(asked, asker.departed, {
      onAccepted: () => telling.accepted(),
      onOutcome: (outcome) => telling.outcome(outcome),
    });
    // Submit has counted what it became, or refused it.
    request.release();
    const summary = await submitting;
    asker.workClass = summary.class;
    metrics.requestFinished(summary.class, summary.timings, span?.context);
    telling.flush();
    const { head } = encodeDone(summary);
    request.say(head);
  }

  fail(request: Pick<NatsRequest, "say">, error: MillraceError): void {
    request.say(encodeFailed(error).head);
  }
}

/** Where what is said so far becomes a message of its own. */
const outcomesMax = 256;
const outcomeBytesMax = 256 * 1024;

/** By then whoever asks hears that it was taken; what is done sooner says so by its outcome, and costs no message for it. */
const acceptedMs = 20;

/** What is said in one turn of the event loop travels together: the last outcome, and that all is done, are one write to NATS. */
class Telling implements Disposable {
  readonly #request: NatsRequest;
  #outcomes: OutcomeMessage[] = [];
  #bytes = 0;
  #planned: NodeJS.Immediate | null = null;
  #accepting: NodeJS.Timeout | null = null;

  constructor(request: NatsRequest) {
    this.#request = request;
  }

  accepted(): void {
    this.#accepting = setTimeout(() => this.#request.say(encodeAccepted().head), acceptedMs);
  }

  outcome({ index, outcome }: SubmitOutcome): void {
    this.#outcomes.push({ index, ...outcome });
    this.#bytes += "value" in outcome ? tensorBytesOf(outcome.value) : 0;
    if (this.#outcomes.length >= outcomesMax || this.#bytes >= outcomeBytesMax) this.flush();
    else this.#planned ??= setImmediate(() => this.flush());
  }

  flush(): void {
    if (this.#planned !== null) clearImmediate(this.#planned);
    this.#planned = null;
    if (this.#outcomes.length === 0) return;
    this.#heard();
    const { head, tail } = encodeOutcomes(this.#outcomes);
    this.#outcomes = [];
    this.#bytes = 0;
    this.#request.say(head, tail);
  }

  /** Also where the request fails behind them. */
  [Symbol.dispose](): void {
    this.flush();
    this.#heard();
  }

  #heard(): void {
    if (this.#accepting !== null) clearTimeout(this.#accepting);
    this.#accepting = null;
  }
}

function tensorBytesOf({
  tensors,
}: Extract<SubmitOutcome["outcome"], { value: unknown }>["value"]): number {
  let bytes = 0;
  for (const { data } of Object.values(tensors)) bytes += data.byteLength;
  return bytes;
}
