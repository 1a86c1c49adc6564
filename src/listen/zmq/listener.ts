/**
 * READ FIRST of this folder. Listens for one front over ZeroMQ: sockets, limits, who is subscribed and who has left, and replies on
 * their way out. It speaks no protocol of its own.
 *
 *   PULL or ROUTER ─► message ─► the front's handle ─► begin: a request in flight ─► publish ─► queues ─► XPUB
 *                      too large?                           │ aborted: who asked has left     ▲
 *                                                           └────────── subscribers ◄─────────┴── subscriptions
 */
import { errorRegistry, MillraceError } from "millrace-client/wire";
import type { Access } from "../../access/access.js";
import type { Log } from "../../log.js";
import type { Metrics } from "../../metrics/metrics.js";
import type { Options } from "../../options/options.js";
import { noTracer, type Tracer } from "../../tracing/tracer.js";
import { endFailed } from "../../work/failed-span.js";
import { loggedTrace } from "../../work/trace-context.js";
import type { TraceSpan } from "../../work/trace-span.js";
import { ListenerEnd } from "../listener-end.js";
import type { RunningListener } from "../running-listener.js";
import { toldError } from "../told-error.js";
import { OpenMessage } from "./open-message.js";
import { ReplyQueues } from "./reply-queues.js";
import { openSockets, type Sockets } from "./sockets.js";
import { Subscribers } from "./subscribers.js";
import { TopicWays } from "./topic-ways.js";
import type { ZmqDropReason, ZmqFront } from "./zmq-front.js";

export interface ZmqListenerParts {
  readonly front: ZmqFront;
  readonly access: Access;
  readonly limits: ZmqLimits;
  readonly metrics: Pick<
    Metrics,
    "replied" | "refused" | "polled" | "messagesDropped" | "topicShared"
  >;
  readonly log: Log;
  /** Default: nobody traces anything. */
  readonly tracer?: Tracer;
}

export type ZmqLimits = Pick<
  Options,
  | "zmqHost"
  | "zmqCurveSecretKeyFile"
  | "zmqRequestsMax"
  | "zmqRepliesBytesMax"
  | "zmqTopicBytesMax"
  | "zmqHoldMs"
  | "bodyBytesMax"
  | "headersTimeoutMs"
  | "replyTimeoutMs"
>;

/**
 * A message that is too large by less than this is told so. One that is larger yet never comes into memory: ZeroMQ closes the
 * connection.
 */
const refusedBytesFactor = 4;
/** Lines of the log about what strangers sent. */
const logEveryMs = 10_000;

/** @throws what `openSockets` does */
export async function startZmqListener(parts: ZmqListenerParts): Promise<RunningListener> {
  const { front, limits, log, access } = parts;
  let listener: Listener | null = null;
  const grantsOf = (subscription: string): readonly string[] =>
    front.grantsOf(subscription, (credential) => isKey(access, credential));
  const sockets = await openSockets({
    host: limits.zmqHost,
    port: front.port,
    portOut: front.portOut,
    takes: front.takes,
    frameBytesMax: refusedBytesFactor * limits.bodyBytesMax,
    handshakeMs: limits.headersTimeoutMs,
    curveSecretKeyFile: limits.zmqCurveSecretKeyFile,
    grants: access.isOpen ? null : { grantsOf, onRefused: () => listener?.refused() },
  });
  const { curvePublicKey } = sockets;
  if (curvePublicKey !== null) log.info({ front: front.name, curvePublicKey }, "CURVE");
  listener = new Listener(parts, sockets);
  return listener;
}

class Listener implements RunningListener {
  readonly url: string;
  readonly #parts: ZmqListenerParts;
  readonly #sockets: Sockets;
  readonly #subscribers: Subscribers;
  readonly #replies: ReplyQueues;
  readonly #open = new Set<OpenMessage>();
  readonly #said = new Map<string, number>();
  readonly #ways: TopicWays | null;
  readonly #reading: Promise<unknown>;
  #inFlight = 0;
  #isClosed = false;
  readonly #end: ListenerEnd = new ListenerEnd({
    isIdle: () => this.#open.size === 0,
    sent: () => this.#replies.idle(),
    cutOff: () => this.#cutOff(),
  });

  constructor(parts: ZmqListenerParts, sockets: Sockets) {
    const { limits, metrics, front } = parts;
    this.#parts = parts;
    this.#ways =
      front.topicOf === undefined ? null : new TopicWays((way) => front.topicOf?.(way) ?? way);
    this.#sockets = sockets;
    this.url = `${sockets.url} → ${sockets.urlOut}`;
    this.#subscribers = new Subscribers({
      holdMs: limits.zmqHoldMs,
      onSubscribed: (topic) => this.#replies.subscribed(topic),
      onLeft: (topic, sinceMs) => this.#replies.left(topic, sinceMs),
      onShared: (shorter, longer) => {
        metrics.topicShared(front.name);
        // Where keys are asked for a topic may begin with one.
        const shown = parts.access.isOpen
          ? { shorter: textOf(shorter), longer: textOf(longer) }
          : {};
        this.#say("one identity is the beginning of another, and reads what is for it", shown);
      },
      onIgnored: () => this.#say("more subscriptions, or longer ones, than are remembered", {}),
    });
    this.#replies = new ReplyQueues({
      topicBytesMax: limits.zmqTopicBytesMax,
      bytesMax: limits.zmqRepliesBytesMax,
      holdMs: limits.zmqHoldMs,
      readMs: limits.replyTimeoutMs,
      isSubscribed: (topic) => this.#subscribers.has(topic),
      isShared: (topic) => this.#subscribers.isShared(topic),
      isOverheard: (topic) => this.#subscribers.isOverheard(topic),
      send: (frames) => sockets.publish(frames),
      setLossy: (isLossy) => sockets.setLossy(isLossy),
      onDropped: (reason, replies) => this.#dropped(reason, replies),
      onFailed: (error) => this.#broken("sending", error),
    });
    this.#reading = Promise.all([this.#readMessages(), this.#readSubscriptions()]);
  }

  /** A subscription that may not read what it asks for. */
  refused(): void {
    this.#say(
      "subscriptions refused: where keys are asked for nobody reads what is for others",
      {},
    );
  }

  drained(): Promise<void> {
    return this.#end.drained();
  }

  close(): Promise<void> {
    return this.#end.close();
  }

  async #cutOff(): Promise<void> {
    this.#isClosed = true;
    for (const message of this.#open) message.abort();
    this.#replies.close();
    this.#subscribers.close();
    this.#sockets.close();
    await this.#reading;
  }

  async #readMessages(): Promise<void> {
    try {
      for await (const frames of this.#sockets.messages) void this.#take(frames);
    } catch (error) {
      this.#broken("reading", error);
    }
  }

  async #readSubscriptions(): Promise<void> {
    try {
      for await (const [told] of this.#sockets.subscriptions) {
        const message = told?.toString("latin1") ?? "";
        const known = this.#ways === null ? message : this.#ways.told(message);
        if (known !== null) this.#subscribers.told(known);
      }
    } catch (error) {
      this.#broken("reading", error);
    }
  }

  async #take(received: readonly Buffer[]): Promise<void> {
    const { front, metrics, limits } = this.#parts;
    const message = this.#messageOf(received);
    if (message.frames.length > front.framesMax) {
      message.drop("malformed");
      return;
    }
    this.#open.add(message);
    try {
      if (message.bytes > limits.bodyBytesMax) throw tooLarge(limits);
      await front.handle(message);
      if (message.asker === null) metrics.polled(front.name);
      else this.#replied(message, 200);
      message.asker?.span?.end();
    } catch (thrown) {
      this.#failed(message, thrown);
    } finally {
      this.#open.delete(message);
      if (message.asker !== null) this.#inFlight -= 1;
      message.end();
      this.#end.ended();
    }
  }

  #messageOf(received: readonly Buffer[]): OpenMessage {
    const { front, access } = this.#parts;
    // REQ sends an empty frame before its own and wants it back; DEALER sends none.
    const isDelimited = received.length > 2 && received[1]?.length === 0;
    const headFrames = front.takes === "pull" ? 0 : isDelimited ? 2 : 1;
    const head = received.slice(0, headFrames);
    return new OpenMessage(received.slice(headFrames), {
      callerOf: (credential) => access.callerOf(credential),
      begin: () => this.#begin(),
      watch: (topic, left) => this.#subscribers.watch(topic, left),
      publish: (topic, frames, options) => this.#replies.publish(topic, frames, options),
      offer: (topic, frames) => {
        if (this.#subscribers.has(topic)) this.#replies.publish(topic, frames);
      },
      reply: (frames) => {
        if (head.length === 0) throw new Error(`${front.name} takes what cannot be answered`);
        if (this.#isClosed) return;
        this.#sockets.reply([...head, ...frames]).catch(() => this.#dropped("departed", 1));
      },
      drop: (reason) => this.#dropped(reason, 1),
      trace: (message) => this.#trace(message),
    });
  }

  /** These protocols have no room for a trace's name: each request begins one. */
  #trace({ id, arrivedAtMs: atMs }: Pick<OpenMessage, "id" | "arrivedAtMs">): TraceSpan | null {
    const { tracer = noTracer, front } = this.#parts;
    const attributes = { "network.protocol.name": "zmq", "millrace.request.id": id };
    return tracer.begin(`message ${front.name}`, null, { kind: "server", atMs, attributes });
  }

  #begin(): void {
    if (this.#end.isDraining) {
      throw new MillraceError("draining", "the server is stopping and takes no new work");
    }
    const { zmqRequestsMax } = this.#parts.limits;
    if (this.#inFlight >= zmqRequestsMax) {
      const message = `${zmqRequestsMax} requests are unanswered: more are not taken (--zmq-requests-max)`;
      throw new MillraceError("queue_full", message);
    }
    this.#inFlight += 1;
  }

  #failed(message: OpenMessage, thrown: unknown): void {
    const { front, log, metrics } = this.#parts;
    const of = { requestId: message.id, ...loggedTrace(message.asker?.span?.context) };
    const error = toldError(thrown, () => log.error({ err: thrown, ...of }, "internal error"));
    metrics.refused(error.code);
    endFailed(message.asker?.span, error);
    this.#replied(message, errorRegistry[error.code].status ?? 500);
    // Nobody is there any more.
    if (error.code === "cancelled" && message.hasLeft) return;
    try {
      front.fail(message, error);
    } catch (cause) {
      log.error({ err: cause, requestId: message.id }, "an error could not be told");
    }
  }

  #replied({ id, asker }: OpenMessage, status: number): void {
    const { front, metrics, log } = this.#parts;
    metrics.replied({ route: front.name, status, class: asker?.workClass ?? "none" });
    const of = { requestId: id, ...loggedTrace(asker?.span?.context) };
    log.debug({ ...of, front: front.name, status }, "request");
  }

  #dropped(reason: ZmqDropReason, count: number): void {
    const { metrics, front } = this.#parts;
    metrics.messagesDropped(front.name, reason, count);
    this.#say("messages dropped", { reason, count });
  }

  #broken(what: "reading" | "sending", error: unknown): void {
    if (this.#isClosed) return;
    this.#parts.log.error({ err: error, front: this.#parts.front.name, what }, "ZeroMQ failed");
  }

  /** Not for each of what strangers may send without end. */
  #say(what: string, fields: Readonly<Record<string, string | number>>): void {
    const kind = `${what} ${fields["reason"] ?? ""}`;
    const now = performance.now();
    if (now - (this.#said.get(kind) ?? -logEveryMs) < logEveryMs) return;
    this.#said.set(kind, now);
    this.#parts.log.warn({ front: this.#parts.front.name, ...fields }, what);
  }
}

/** For the log: what a stranger wrote, in bounds. */
function textOf(topic: string): string {
  return Buffer.from(topic.slice(0, 64), "latin1").toString();
}

function isKey(access: Access, credential: string): boolean {
  try {
    access.callerOf(credential);
    return true;
  } catch (error) {
    if (error instanceof MillraceError) return false;
    throw error;
  }
}

function tooLarge({ bodyBytesMax }: ZmqLimits): MillraceError {
  const message = `the message has more than ${bodyBytesMax} bytes (--body-bytes-max)`;
  return new MillraceError("body_too_large", message);
}
