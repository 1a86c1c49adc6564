/**
 * READ FIRST of this folder. Listens for one front on this node's own subject of NATS: requests of other nodes, their limits, who has left,
 * and replies on their way out. It speaks no protocol of its own.
 *
 *   P.node.<instance> ─► part ─► conversation ─► room for it? ─► whole ─► the front's handle ─► say ─► P.back.<edge>.<number>
 *                        leave ─► aborted                                    ▲
 *                        beat ──► heard of; silent for five of them ─► aborted
 *
 * NATS may come and go: subscriptions are made again, and what is open is lost only where a part of it is.
 */
import { errorRegistry, MillraceError } from "millrace-client/wire";
import type { Log } from "../../log.js";
import type { Metrics } from "../../metrics/metrics.js";
import { beatMs, edgeSilentBeatsMax, encodeBeats, readBeat } from "../../nats/beats.js";
import type { NatsLink } from "../../nats/connection.js";
import { readPart } from "../../nats/parts.js";
import { readBack, type Subjects, subjectsOf } from "../../nats/subjects.js";
import type { Options } from "../../options/options.js";
import { noTracer, type Tracer } from "../../tracing/tracer.js";
import type { Asker } from "../../work/asker.js";
import { endFailed } from "../../work/failed-span.js";
import { loggedTrace } from "../../work/trace-context.js";
import { BodyBudget } from "../body-budget.js";
import { ListenerEnd } from "../listener-end.js";
import { ReplyBudget } from "../reply-budget.js";
import type { RunningListener } from "../running-listener.js";
import { toldError } from "../told-error.js";
import type { NatsFront, NatsRequest } from "./nats-front.js";
import { OpenAsk } from "./open-ask.js";

export interface NatsListenerParts {
  readonly front: NatsFront;
  readonly link: NatsLink;
  readonly limits: NatsLimits;
  readonly metrics: Pick<Metrics, "replied" | "refused">;
  readonly log: Log;
  /** Default: nobody traces anything. */
  readonly tracer?: Tracer;
}

export type NatsLimits = Pick<
  Options,
  "bodyBytesMax" | "imageBodyBytesMax" | "bodiesBytesMax" | "repliesBytesMax" | "connectionsMax"
>;

/** JSON that is written again may be longer than it was; pictures go as they are. */
function messageBytesMaxOf({ bodyBytesMax, imageBodyBytesMax }: NatsLimits): number {
  return 2 * bodyBytesMax + imageBodyBytesMax;
}

export function startNatsListener(parts: NatsListenerParts): RunningListener {
  return new Listener(parts);
}

class Listener implements RunningListener {
  readonly url: string;
  readonly #parts: NatsListenerParts;
  readonly #subjects: Subjects;
  readonly #bodies: BodyBudget;
  readonly #replies: ReplyBudget;
  /** By the subject of whoever asks. */
  readonly #open = new Map<string, OpenAsk>();
  readonly #unlisten: () => void;
  readonly #timer: NodeJS.Timeout;
  /** What it is subscribed on. */
  #connection: unknown = null;
  #unsubscribe: () => void = () => {};
  readonly #end: ListenerEnd = new ListenerEnd({
    isIdle: () => this.#open.size === 0,
    cutOff: () => this.#cutOff(),
  });

  constructor(parts: NatsListenerParts) {
    const { link, limits } = parts;
    this.#parts = parts;
    this.#subjects = subjectsOf(link.prefix);
    this.url = `nats ${this.#subjects.node(link.instance)}`;
    this.#bodies = new BodyBudget(Math.max(limits.bodiesBytesMax, messageBytesMaxOf(limits)));
    this.#replies = new ReplyBudget(limits.repliesBytesMax);
    this.#unlisten = link.listen({ onConnected: () => this.#connected() });
    this.#timer = setInterval(() => this.#beat(), beatMs);
    this.#timer.unref();
  }

  drained(): Promise<void> {
    return this.#end.drained();
  }

  close(): Promise<void> {
    return this.#end.close();
  }

  #cutOff(): void {
    clearInterval(this.#timer);
    this.#unlisten();
    this.#unsubscribe();
    for (const ask of this.#open.values()) ask.leave();
  }

  #connected(): void {
    const { link } = this.#parts;
    const { connection } = link;
    if (connection !== this.#connection) {
      this.#connection = connection;
      const subscription = connection.subscribe(this.#subjects.node(link.instance), {
        callback: (error, message) => {
          if (error === null) this.#heard(message.data, message.reply ?? "");
        },
      });
      this.#unsubscribe = () => subscription.unsubscribe();
    }
    for (const { conversation } of this.#open.values()) conversation.pump();
  }

  #heard(raw: Uint8Array, reply: string): void {
    const part = readPart(raw);
    const back = readBack(this.#parts.link.prefix, reply);
    // Nobody to answer, or nobody that we understand: whoever it is notices the silence.
    if (part === null || back === null) return;
    if (part.kind === "beat") {
      for (const { number, sent } of readBeat(part.json)) {
        const ask = this.#open.get(this.#subjects.back(back.instance, number));
        if (ask === undefined) continue;
        ask.silentBeats = 0;
        ask.conversation.otherHasSent(sent);
      }
      return;
    }
    if (part.kind === "leave") return this.#open.get(reply)?.leave();
    const isFirst = part.kind === "part" && part.sequence === 0;
    const ask = this.#open.get(reply) ?? (isFirst ? this.#begin(reply, back) : null);
    ask?.conversation.receive(part);
  }

  #begin(
    reply: string,
    { instance, number }: { readonly instance: string; readonly number: number | null },
  ): OpenAsk | null {
    if (number === null) return null;
    const { limits, link, tracer = noTracer } = this.#parts;
    const ask = new OpenAsk({
      tracer,
      edge: instance,
      number,
      bodies: this.#bodies,
      replies: this.#replies,
      messageBytesMax: messageBytesMaxOf(limits),
      payloadBytesMax: () => link.connected?.info?.max_payload ?? 0,
      publish: (bytes) => {
        if (link.connected === null) return false;
        link.connected.publish(reply, bytes);
        return true;
      },
      onRequest: (own, request) => void this.#take(own, request),
      onRefused: (own, error) => void this.#refuse(own, error),
      onLeft: (own) => this.#forget(own),
    });
    this.#open.set(reply, ask);
    const refusal = this.#refusal();
    if (refusal !== null) ask.refuse(refusal);
    return ask;
  }

  #refusal(): MillraceError | null {
    if (this.#end.isDraining) return new MillraceError("draining", "the node is stopping");
    const { connectionsMax } = this.#parts.limits;
    if (this.#open.size <= connectionsMax) return null;
    const message = `the node has ${connectionsMax} requests of others open (--connections-max)`;
    return new MillraceError("queue_full", message);
  }

  async #refuse(ask: OpenAsk, error: MillraceError): Promise<void> {
    this.#failed(ask, error);
    await this.#sendRest(ask);
  }

  async #take(ask: OpenAsk, request: NatsRequest): Promise<void> {
    try {
      await this.#parts.front.handle(request);
      this.#replied(request.asker, 200);
      request.asker.span?.end();
    } catch (thrown) {
      this.#failed(ask, thrown);
    } finally {
      request.release();
    }
    await this.#sendRest(ask);
  }

  #failed(ask: OpenAsk, thrown: unknown): void {
    const { front, log, metrics } = this.#parts;
    const of = { requestId: ask.asker?.id, ...loggedTrace(ask.asker?.span?.context) };
    const error = toldError(thrown, () => log.error({ err: thrown, ...of }, "internal error"));
    metrics.refused(error.code);
    endFailed(ask.asker?.span, error);
    this.#replied(ask.asker, errorRegistry[error.code].status ?? 500);
    // Nobody is there any more.
    if (ask.departed.aborted) return;
    front.fail({ say: (head, tail) => ask.conversation.send(head, tail) }, error);
  }

  /** When the last of it is sent. */
  async #sendRest(ask: OpenAsk): Promise<void> {
    await ask.conversation.emptied(ask.departed);
    ask.end();
    this.#forget(ask);
  }

  #forget(ask: OpenAsk): void {
    this.#open.delete(this.#subjects.back(ask.edge, ask.number));
    this.#end.ended();
  }

  #replied(asker: Asker | null, status: number): void {
    const { front, metrics, log } = this.#parts;
    metrics.replied({ route: front.name, status, class: asker?.workClass ?? "none" });
    const of = { requestId: asker?.id, ...loggedTrace(asker?.span?.context) };
    log.debug({ ...of, front: front.name, status }, "request");
  }

  /** Once for each edge: what of it is open here. Who is silent is gone. */
  #beat(): void {
    const { link } = this.#parts;
    const byEdge = new Map<string, OpenAsk[]>();
    for (const ask of this.#open.values()) {
      ask.silentBeats += 1;
      if (ask.silentBeats > edgeSilentBeatsMax) {
        ask.leave();
        continue;
      }
      const others = byEdge.get(ask.edge);
      if (others === undefined) byEdge.set(ask.edge, [ask]);
      else others.push(ask);
    }
    for (const [edge, asks] of byEdge) {
      const subject = this.#subjects.backBeat(edge, link.instance);
      const open = asks.map(({ number, conversation: { sent } }) => ({ number, sent }));
      for (const beat of encodeBeats(open)) link.connected?.publish(subject, beat);
    }
  }
}
