/** One request at one node: what it said, until it is done, has failed, or is lost. */
import type { MillraceError } from "millrace-client/wire";
import { Conversation } from "../../nats/conversation.js";
import {
  type AnswerMessage,
  type AskMessage,
  type DoneSummary,
  encodeAsk,
  type OutcomeMessage,
  readAnswer,
} from "../../nats/messages.js";
import { encodePart } from "../../nats/parts.js";
import { endFailed } from "../../work/failed-span.js";
import { carriedTrace } from "../../work/trace-context.js";
import type { TraceSpan } from "../../work/trace-span.js";
import { withResolvers } from "../../work/with-resolvers.js";
import type { RemoteAsks } from "./remote-asks.js";

export type AskEnd =
  | { readonly kind: "done"; readonly summary: DoneSummary }
  /** By the node, with nothing or with a part of it done. */
  | { readonly kind: "failed"; readonly error: MillraceError }
  /** Nobody knows what the node did of the rest. */
  | { readonly kind: "lost"; readonly reason: string };

export interface RemoteAskParts {
  readonly asks: RemoteAsks;
  readonly node: string;
  readonly number: number;
  readonly onAccepted: () => void;
  readonly onOutcome: (outcome: OutcomeMessage) => void;
  /** Of the request; null: nobody traces it. */
  readonly request: TraceSpan | null;
  /** As people call it. */
  readonly nodeName: string;
}

/** Far over an outcome, which is one frame of a worker at most (src/frames). */
const answerBytesMax = 96 * 1024 * 1024;

export class RemoteAsk {
  readonly node: string;
  readonly number: number;
  readonly conversation: Conversation;
  silentBeats = 0;
  hasEnded = false;
  readonly #parts: RemoteAskParts;
  readonly #span: TraceSpan | null;
  readonly #ended = withResolvers<AskEnd>();

  constructor(parts: RemoteAskParts) {
    const { asks, node, number, request, nodeName } = parts;
    this.#parts = parts;
    const attributes = { "network.protocol.name": "nats", "millrace.node": nodeName };
    this.#span = request?.child("ask a node", { kind: "client", attributes }) ?? null;
    this.node = node;
    this.number = number;
    this.conversation = new Conversation({
      publish: (bytes) => asks.publish(bytes, { node, number }),
      payloadBytesMax: () => asks.payloadBytesMax(),
      onAnnounced: (bytes) => this.#isWelcome(bytes),
      onMessage: ({ head, tail }) => this.#take(readAnswer(head, tail)),
      onBroken: (error) => this.#finish({ kind: "lost", reason: String(error) }),
    });
  }

  get ended(): Promise<AskEnd> {
    return this.#ended.promise;
  }

  send(message: AskMessage): void {
    const carried = carriedTrace(this.#span?.context ?? null);
    const { head, tail } = encodeAsk({ ...message, ...carried });
    this.conversation.send(head, tail);
  }

  /** The node is told that nobody waits; nothing of it is heard any more. */
  leave(): void {
    const { asks, node, number } = this.#parts;
    asks.publish(encodePart({ kind: "leave" }), { node, number });
    this.#span?.end({ error: "cancelled" });
    this.close();
  }

  close(): void {
    this.hasEnded = true;
    this.#span?.end();
    this.conversation.close();
    this.#parts.asks.remove(this.number);
  }

  #isWelcome(bytes: number): boolean {
    if (bytes <= answerBytesMax) return true;
    this.#finish({ kind: "lost", reason: `a message of ${bytes} bytes` });
    return false;
  }

  #take(message: AnswerMessage): void {
    try {
      this.#told(message);
    } catch (error) {
      // The caller's own callback failed: that ends the caller's request, and nothing else.
      this.#ended.reject(error);
      this.leave();
    }
  }

  #told(message: AnswerMessage): void {
    switch (message.type) {
      case "accepted":
        return this.#parts.onAccepted();
      case "outcomes":
        for (const outcome of message.outcomes) this.#parts.onOutcome(outcome);
        return;
      case "done":
        return this.#finish({ kind: "done", summary: message.summary });
      case "failed":
        return this.#finish({ kind: "failed", error: message.error });
    }
  }

  #finish(end: AskEnd): void {
    if (end.kind === "lost") this.#span?.end({ error: "node_lost" });
    else if (end.kind === "failed") endFailed(this.#span, end.error);
    // It may live, and only a part of what it said be lost.
    if (end.kind === "lost") this.leave();
    this.close();
    this.#ended.resolve(end);
  }
}
