/**
 * All that this server has asked of others, by the number of the request: one subscription for what comes back, a beat each second to each
 * node that has something of ours, and the judgement of who is gone.
 *
 *   gone ─┬─ NATS knows of nobody who listens on its subject ──► at once, or at the next beat
 *         ├─ three beats without a word of it ─────────────────► cut off, or it stands still
 *         └─ a part of the conversation is missing ────────────► only that request
 *
 * A time in which this process stood still counts as one beat: what came meanwhile waits to be read.
 */
import { beatMs, encodeBeats, nodeSilentBeatsMax, readBeat } from "../../nats/beats.js";
import type { NatsLink } from "../../nats/connection.js";
import type { Directory } from "../../nats/directory.js";
import { readPart } from "../../nats/parts.js";
import { readBack, type Subjects, subjectsOf } from "../../nats/subjects.js";
import type { RemoteAsk } from "./remote-ask.js";

export class RemoteAsks implements Disposable {
  readonly #link: NatsLink;
  readonly #directory: Directory;
  readonly #subjects: Subjects;
  readonly #open = new Map<number, RemoteAsk>();
  readonly #unlisten: () => void;
  readonly #timer: NodeJS.Timeout;
  #number = 0;
  #connection: unknown = null;
  #unsubscribe: () => void = () => {};

  constructor({ link, directory }: { readonly link: NatsLink; readonly directory: Directory }) {
    this.#link = link;
    this.#directory = directory;
    this.#subjects = subjectsOf(link.prefix);
    this.#unlisten = link.listen({ onConnected: () => this.#connected() });
    this.#timer = setInterval(() => this.#beat(), beatMs);
    this.#timer.unref();
  }

  /** A number of its own, from now until `remove`. */
  add(make: (number: number) => RemoteAsk): RemoteAsk {
    this.#number += 1;
    const ask = make(this.#number);
    this.#open.set(this.#number, ask);
    return ask;
  }

  remove(number: number): void {
    this.#open.delete(number);
  }

  /** False: NATS is away. */
  publish(
    bytes: Uint8Array,
    { node, number }: { readonly node: string; readonly number: number },
  ): boolean {
    const { connected, instance } = this.#link;
    if (connected === null) return false;
    const reply = this.#subjects.back(instance, number);
    connected.publish(this.#subjects.node(node), bytes, { reply });
    return true;
  }

  payloadBytesMax(): number {
    return this.#link.connected?.info?.max_payload ?? 0;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#unlisten();
    this.#unsubscribe();
  }

  #connected(): void {
    const { connection, instance } = this.#link;
    if (connection !== this.#connection) {
      this.#connection = connection;
      const subscription = connection.subscribe(this.#subjects.backs(instance), {
        callback: (error, message) => {
          if (error !== null) return;
          // NATS's own answer where nobody listens.
          const isNobody = message.headers?.code === 503;
          this.#heard(message.subject, isNobody ? null : message.data);
        },
      });
      this.#unsubscribe = () => subscription.unsubscribe();
    }
    for (const ask of this.#open.values()) ask.conversation.pump();
  }

  /** `raw`: null where nobody listens on the node's subject any more. */
  #heard(subject: string, raw: Uint8Array | null): void {
    const back = readBack(this.#link.prefix, subject);
    if (back === null) return;
    const { number, node } = back;
    const ask = number === null ? undefined : this.#open.get(number);
    if (raw === null) {
      const gone = ask?.node ?? node;
      if (gone !== null && gone !== undefined) this.#gone(gone);
      return;
    }
    const part = readPart(raw);
    if (part === null) return ask?.conversation.break(new Error("a part that cannot be read"));
    if (part.kind === "part" || part.kind === "credit") {
      if (ask === undefined) return;
      ask.silentBeats = 0;
      ask.conversation.receive(part);
    } else if (part.kind === "beat") {
      for (const each of readBeat(part.json)) {
        const own = this.#open.get(each.number);
        if (own === undefined || own.node !== node) continue;
        own.silentBeats = 0;
        own.conversation.otherHasSent(each.sent);
      }
    }
  }

  #gone(node: string): void {
    this.#directory.lost(node);
    for (const ask of this.#open.values()) {
      if (ask.node === node) ask.conversation.break(new Error("its node is gone"));
    }
  }

  #beat(): void {
    const byNode = new Map<string, RemoteAsk[]>();
    for (const ask of this.#open.values()) {
      ask.silentBeats += 1;
      if (ask.silentBeats > nodeSilentBeatsMax) {
        ask.conversation.break(new Error("its node is not heard of any more"));
        continue;
      }
      const others = byNode.get(ask.node);
      if (others === undefined) byNode.set(ask.node, [ask]);
      else others.push(ask);
    }
    const { connected, instance } = this.#link;
    if (connected === null) return;
    for (const [node, asks] of byNode) {
      const reply = this.#subjects.backBeat(instance, node);
      const open = asks.map(({ number, conversation: { sent } }) => ({ number, sent }));
      for (const beat of encodeBeats(open))
        connected.publish(this.#subjects.node(node), beat, { reply });
    }
  }
}
