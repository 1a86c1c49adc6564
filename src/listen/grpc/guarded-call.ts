/**
 * Stands between the library and every handler: who asks is known before anything of a message is read, and messages come
 * when there is room for them.
 *
 *   headers ─► identification, access, a place ─► handler ─► replies, status
 *                 │ refused                         ▲
 *   message ──────┴── one at a time ────────────────┘
 */
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerListener,
  status,
} from "@grpc/grpc-js";
import { MillraceError } from "millrace-client/wire";
import type { Access } from "../../access/access.js";
import type { Tracer } from "../../tracing/tracer.js";
import { callerOf, credentialOf } from "../caller-of.js";
import type { Identification } from "../identification.js";
import type { GrpcMethod } from "./grpc-front.js";
import { beginGrpcSpan } from "./grpc-span.js";
import { grpcStatusOf } from "./grpc-status.js";
import { amendStatus, type SentStatus, whenBytesCome } from "./library-call.js";
import { type CallParts, OpenCall, textHeadersOf } from "./open-call.js";
import type { PlaceHolder, ReadPlaces } from "./read-places.js";

/** What is asked of whoever calls a method, and how it comes; of those too that are no front's. */
export interface GuardedMethod extends Pick<GrpcMethod, "access" | "messageBytesMax"> {
  readonly path: string;
  readonly hasManyMessages: boolean;
  readonly hasManyReplies: boolean;
  /** The next message of a stream may come when a reply to the one before was taken: whoever answers it says no more. */
  readonly releasesByReply?: true;
}

export interface GuardParts extends Pick<CallParts, "draining" | "metrics" | "onBug"> {
  readonly identification: Identification;
  readonly access: Access;
  readonly tracer: Tracer;
  readonly bodyTimeoutMs: number;
  /** For a message on its way in, of calls that have one. */
  readonly places: ReadPlaces;
  /** For calls that have many, from their beginning to their end. */
  readonly streams: ReadPlaces;
  /** For calls that have many replies to one, likewise. */
  readonly watches: ReadPlaces;
  readonly onCall: (metadata: Metadata, call: OpenCall) => void;
}

export class GuardedCall extends ServerInterceptingCall {
  readonly #parts: GuardParts;
  readonly #method: GuardedMethod;
  readonly #call: ServerInterceptingCallInterface;
  #open: OpenCall | null = null;
  /** Until its message is there. */
  #timer: NodeJS.Timeout | undefined;
  /** Messages that came and have no reply yet. */
  #unanswered = 0;
  #activeAtMs = performance.now();

  constructor(call: ServerInterceptingCallInterface, method: GuardedMethod, parts: GuardParts) {
    super(call, {
      start: (next) => next(this.#listener()),
      sendStatus: (told, next) => {
        this.#open?.end(told.code ?? status.UNKNOWN);
        next(told);
      },
    });
    this.#parts = parts;
    this.#method = method;
    this.#call = call;
    const active = (): void => {
      this.#activeAtMs = performance.now();
    };
    whenBytesCome(call, active);
    amendStatus(call, (told) => this.#amended(told));
  }

  override sendMessage(message: unknown, callback: () => void): void {
    super.sendMessage(message, () => {
      callback();
      this.#unanswered = Math.max(0, this.#unanswered - 1);
      this.#activeAtMs = performance.now();
      if (this.#method.releasesByReply === true) this.#open?.release();
    });
  }

  #listener(): ServerListener {
    return {
      onReceiveMetadata: (metadata, next) => this.#began(metadata, () => next(metadata)),
      onReceiveMessage: (message: Buffer, next) => this.#received(message, () => next(message)),
      onReceiveHalfClose: (next) => {
        clearTimeout(this.#timer);
        next();
      },
      onCancel: () => {
        const isLate = Date.now() >= Number(this.#call.getDeadline());
        this.#open?.left(isLate ? status.DEADLINE_EXCEEDED : status.CANCELLED);
      },
    };
  }

  #began(metadata: Metadata, next: () => void): void {
    const { identification, access, draining, metrics, onBug, onCall, tracer } = this.#parts;
    const { path, access: needed = "key" } = this.#method;
    const headers = textHeadersOf(metadata);
    const id = identification.idOf(headers);
    const said = identification.headersFor(id);
    const timeoutMs = timeoutOf(this.#call);
    const span = beginGrpcSpan(tracer, headers, { path, id, access: needed });
    const to = { span, draining, metrics, onBug };
    const open = new OpenCall({ path, id, headers: said, timeoutMs, ...to });
    this.#open = open;
    onCall(metadata, open);
    try {
      identification.check(headers);
      open.caller = callerOf(credentialOf(headers), needed, access);
      this.#enter(open, next);
    } catch (thrown) {
      this.#refuse(open, thrown);
    }
  }

  /** @throws MillraceError `queue_full` */
  #enter(open: OpenCall, next: () => void): void {
    const { places, streams, watches, bodyTimeoutMs } = this.#parts;
    const { hasManyMessages, hasManyReplies } = this.#method;
    const full = new MillraceError(
      "queue_full",
      hasManyMessages
        ? "As many streams are open as may be; end one, or send the requests one by one."
        : "As many calls wait to send their message as may; come again later.",
    );
    const holder = this.#holderOf(open);
    const release = (hasManyMessages ? streams : places).take(holder, () => {
      this.#activeAtMs = performance.now();
      next();
    });
    if (release === null) throw full;
    if (hasManyMessages) {
      open.onEnd(release);
      return;
    }
    open.onFree(release);
    if (hasManyReplies) {
      const leave = watches.take({ ...holder, idleMs: () => 0 }, () => {});
      if (leave === null) throw full;
      open.onEnd(leave);
    }
    this.#timer = setTimeout(() => {
      const message = `The message did not arrive within ${bodyTimeoutMs} ms.`;
      this.#refuse(open, new MillraceError("body_timeout", message));
    }, bodyTimeoutMs);
    open.onEnd(() => clearTimeout(this.#timer));
  }

  #holderOf(open: OpenCall): PlaceHolder {
    const error = this.#method.hasManyMessages
      ? new MillraceError("queue_full", "Others wait for a stream, and this one idles.")
      : new MillraceError("body_timeout", "Others wait, and nothing of the message comes.");
    return {
      idleMs: () => (this.#unanswered > 0 ? 0 : performance.now() - this.#activeAtMs),
      evict: () => this.#refuse(open, error),
    };
  }

  /** What the library says by itself has no code of ours. */
  #amended(told: SentStatus): SentStatus {
    const code = told.code === status.RESOURCE_EXHAUSTED ? "body_too_large" : null;
    const open = this.#open;
    if (open === null || code === null || (told.metadata ?? null) !== null) return told;
    return grpcStatusOf(open.told(new MillraceError(code, told.details ?? "")), open.headers);
  }

  #received(message: Buffer, next: () => void): void {
    const open = this.#open;
    if (open === null || open.ended) return;
    const { messageBytesMax = Infinity } = this.#method;
    if (message.length > messageBytesMax) {
      const text = `A message to this method has at most ${messageBytesMax} bytes, not ${message.length}.`;
      this.#refuse(open, new MillraceError("body_too_large", text));
      return;
    }
    this.#unanswered += 1;
    open.hold(next);
  }

  #refuse(open: OpenCall, thrown: unknown): void {
    if (open.ended) return;
    this.sendStatus(grpcStatusOf(open.told(thrown), open.headers));
  }
}

/** What is left of the caller's own time. */
function timeoutOf(call: ServerInterceptingCallInterface): number | null {
  const deadline = Number(call.getDeadline());
  return Number.isFinite(deadline) ? Math.max(0, deadline - Date.now()) : null;
}
