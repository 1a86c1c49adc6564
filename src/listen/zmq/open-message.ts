/** One message, and the request that it may become: who asks, whether they are still there, and its ways out. */
import { randomUUID } from "node:crypto";
import type { Asker } from "../../work/asker.js";
import type { Caller } from "../../work/caller.js";
import type { TraceSpan } from "../../work/trace-span.js";
import type { Frame, ReplyOptions, ReplyQueues } from "./reply-queues.js";
import type { ZmqDropReason, ZmqMessage } from "./zmq-front.js";

interface MessageParts extends Pick<ZmqMessage, "callerOf" | "reply" | "drop"> {
  readonly begin: () => void;
  readonly watch: (topic: string, left: () => void) => () => void;
  readonly publish: ReplyQueues["publish"];
  readonly offer: (topic: string, frames: readonly Frame[]) => void;
  readonly trace: (message: Pick<OpenMessage, "id" | "arrivedAtMs">) => TraceSpan | null;
}

export class OpenMessage implements ZmqMessage {
  readonly id: string = randomUUID();
  readonly frames: readonly Buffer[];
  readonly bytes: number;
  readonly arrivedAtMs: number = performance.now();
  asker: Asker | null = null;
  readonly #parts: MessageParts;
  readonly #departure = new AbortController();
  #unwatch: () => void = () => {};

  constructor(frames: readonly Buffer[], parts: MessageParts) {
    this.frames = frames;
    this.bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
    this.#parts = parts;
  }

  get hasLeft(): boolean {
    return this.#departure.signal.aborted;
  }

  callerOf(credential: string | null): Caller {
    return this.#parts.callerOf(credential);
  }

  begin(topic: Buffer, caller: Caller): Asker {
    if (this.asker !== null) throw new Error("a message is one request");
    this.#parts.begin();
    this.#unwatch = this.#parts.watch(keyOf(topic), () => this.abort());
    const { id, arrivedAtMs } = this;
    const span = this.#parts.trace(this);
    const departed = this.#departure.signal;
    this.asker = { id, caller, span, arrivedAtMs, departed, workClass: "none" };
    return this.asker;
  }

  publish(topic: Buffer, frames: readonly Frame[], options?: ReplyOptions): void {
    this.#parts.publish(keyOf(topic), frames, options);
  }

  offer(topic: Buffer, frames: readonly Frame[]): void {
    this.#parts.offer(keyOf(topic), frames);
  }

  reply(frames: readonly Frame[]): void {
    this.#parts.reply(frames);
  }

  drop(reason: ZmqDropReason): void {
    this.#parts.drop(reason);
  }

  abort(): void {
    this.#departure.abort();
  }

  end(): void {
    this.#unwatch();
  }
}

/** As `Subscribers` has it. */
function keyOf(topic: Buffer): string {
  return topic.toString("latin1");
}
