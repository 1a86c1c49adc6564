/** One request of another node: the conversation, what is held of it, and whether somebody still waits. */
import { MillraceError } from "millrace-client/wire";
import { Conversation, type ReceivedMessage } from "../../nats/conversation.js";
import type { Tracer } from "../../tracing/tracer.js";
import type { Asker } from "../../work/asker.js";
import { anyCaller } from "../../work/caller.js";
import { readCarriedTrace } from "../../work/trace-context.js";
import type { TraceSpan } from "../../work/trace-span.js";
import type { BodyBudget, BodyShare } from "../body-budget.js";
import { type ReplyBudget, ReplyShare } from "../reply-budget.js";
import type { NatsRequest } from "./nats-front.js";

export interface OpenAskParts {
  /** Of whoever asks, and which of its requests this is. */
  readonly edge: string;
  readonly number: number;
  readonly bodies: BodyBudget;
  readonly replies: ReplyBudget;
  readonly messageBytesMax: number;
  readonly payloadBytesMax: () => number;
  readonly publish: (bytes: Uint8Array) => boolean;
  readonly onRequest: (ask: OpenAsk, request: NatsRequest) => void;
  /** Nothing was begun for it. */
  readonly onRefused: (ask: OpenAsk, error: MillraceError) => void;
  /** Nobody waits for it any more. */
  readonly onLeft: (ask: OpenAsk) => void;
  readonly tracer: Tracer;
}

export class OpenAsk {
  readonly edge: string;
  readonly number: number;
  readonly conversation: Conversation;
  /** Beats of the edge since the last that named it. */
  silentBeats = 0;
  /** Null until the request is whole. */
  asker: Asker | null = null;
  readonly #parts: OpenAskParts;
  readonly #body: BodyShare;
  readonly #reply: ReplyShare;
  readonly #departure = new AbortController();

  constructor(parts: OpenAskParts) {
    this.#parts = parts;
    this.edge = parts.edge;
    this.number = parts.number;
    this.#body = parts.bodies.open((error) => this.refuse(error));
    this.#reply = new ReplyShare(parts.replies, () => this.leave());
    this.conversation = new Conversation({
      publish: parts.publish,
      payloadBytesMax: parts.payloadBytesMax,
      onAnnounced: (bytes) => this.#announced(bytes),
      onMessage: (message) => this.#take(message),
      onWaiting: (bytes) => (bytes > 0 ? this.#reply.grow(bytes) : this.#reply.shrink(-bytes)),
      onBroken: () => this.leave(),
    });
  }

  get departed(): AbortSignal {
    return this.#departure.signal;
  }

  /** Nothing of it is taken: who asks is told why, and that is all. */
  refuse(error: MillraceError): void {
    this.conversation.deafen();
    this.#parts.onRefused(this, error);
  }

  /** Nobody waits for it any more: what runs of it stops. */
  leave(): void {
    if (this.#departure.signal.aborted) return;
    this.#departure.abort();
    this.end();
    this.#parts.onLeft(this);
  }

  /** Gives back whatever is held of it. */
  end(): void {
    this.conversation.close();
    this.#body.release();
    this.#body.settle();
    this.#reply.release();
  }

  /** Before memory is taken: there is room for all of it, or it is refused. */
  #announced(bytes: number): boolean {
    const { messageBytesMax } = this.#parts;
    // One conversation is one request.
    if (this.asker !== null) return false;
    try {
      if (bytes > messageBytesMax) throw tooLarge(bytes, messageBytesMax);
      this.#body.grow(bytes);
      return true;
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      this.#parts.onRefused(this, error);
      return false;
    }
  }

  #spanOf(
    head: ReceivedMessage["head"],
    { id, atMs }: { readonly id: string; readonly atMs: number },
  ): TraceSpan | null {
    const attributes = {
      "network.protocol.name": "nats",
      "millrace.edge": this.edge,
      "millrace.request.id": id,
    };
    const start = { kind: "server", atMs, attributes } as const;
    return this.#parts.tracer.begin("answer an edge", readCarriedTrace(head), start);
  }

  #take({ head, tail, bytes }: ReceivedMessage): void {
    this.#body.arrived();
    this.#body.settle();
    const id = typeof head["id"] === "string" ? head["id"] : "";
    const arrivedAtMs = performance.now();
    const span = this.#spanOf(head, { id, atMs: arrivedAtMs });
    const { departed } = this;
    this.asker = { id, caller: anyCaller, span, arrivedAtMs, departed, workClass: "none" };
    this.#parts.onRequest(this, {
      head,
      tail,
      bytes,
      asker: this.asker,
      release: () => this.#body.release(),
      say: (text, binary) => this.conversation.send(text, binary),
    });
  }
}

function tooLarge(bytes: number, messageBytesMax: number): MillraceError {
  const limits = "--body-bytes-max, --image-body-bytes-max";
  const message = `the request travels as ${bytes} bytes, and this node takes ${messageBytesMax} (${limits})`;
  return new MillraceError("body_too_large", message);
}
