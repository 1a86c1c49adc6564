/**
 * What the messages of one task have to say, one message after the other: a client adds up what arrives, so the results of its
 * second message wait for those of its first.
 */
import { MillraceError } from "millrace-client/wire";

export class TaskOrder {
  readonly #bytesMax: number;
  /** By topic, those that have not said all; the first one speaks. */
  readonly #lines = new Map<string, Turn[]>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  begin(topic: string): Turn {
    const turn = new Turn(this, topic);
    const line = this.#lines.get(topic);
    if (line === undefined) this.#lines.set(topic, [turn]);
    else line.push(turn);
    return turn;
  }

  isFirst(turn: Turn): boolean {
    return this.#lines.get(turn.topic)?.[0] === turn;
  }

  /** @throws MillraceError `queue_full` */
  hold(bytes: number): void {
    if (this.#bytes + bytes > this.#bytesMax) {
      const message = "too much waits for earlier messages of its task (--zmq-replies-bytes-max)";
      throw new MillraceError("queue_full", message);
    }
    this.#bytes += bytes;
  }

  letGo(bytes: number): void {
    this.#bytes -= bytes;
  }

  /** Whoever is first now speaks; who has ended too makes room for the next one. */
  ended(topic: string): void {
    const line = this.#lines.get(topic) ?? [];
    while (line[0]?.hasEnded === true) {
      line.shift();
      line[0]?.speak();
    }
    if (line.length === 0) this.#lines.delete(topic);
  }
}

/** What holding something costs beside it. */
const overheadBytes = 512;

export class Turn {
  readonly topic: string;
  readonly #order: TaskOrder;
  #waiting: { readonly bytes: number; readonly say: () => void }[] = [];
  #hasEnded = false;

  constructor(order: TaskOrder, topic: string) {
    this.#order = order;
    this.topic = topic;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Now, or when it is its turn. @throws MillraceError `queue_full` */
  say(bytes: number, say: () => void): void {
    if (this.#order.isFirst(this)) {
      say();
      return;
    }
    const held = bytes + overheadBytes;
    this.#order.hold(held);
    this.#waiting.push({ bytes: held, say });
  }

  /** Its turn has come. */
  speak(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { bytes, say } of waiting) {
      this.#order.letGo(bytes);
      say();
    }
  }

  /** Nothing more comes. Again: nothing. */
  end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#order.ended(this.topic);
  }
}
