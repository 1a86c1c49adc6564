/**
 * One connection:
 *
 *   socket ─► intake, turns ─► ws ─► #messages ─► the front's hearer, one at a time
 *   socket ◄─ ws ◄─ writer ◄─ say
 *
 * It is closed by its peer, by a rule that the peer broke, by a peer that is not there any more, or because the server stops. All
 * of them end in `closed`, once.
 */
import type { Socket } from "node:net";
import { MillraceError, type WorkClass } from "millrace-client/wire";
import type { WebSocket } from "ws";
import type { Log } from "../../log.js";
import type { Metrics } from "../../metrics/metrics.js";
import type { Options } from "../../options/options.js";
import type { Tracer } from "../../tracing/tracer.js";
import type { Caller } from "../../work/caller.js";
import { readCarriedTrace } from "../../work/trace-context.js";
import type { TraceSpan } from "../../work/trace-span.js";
import type { BodyBudget, BodyShare } from "../body-budget.js";
import { queryOf } from "../query-of.js";
import { ReplyShare } from "../reply-budget.js";
import type { Rester, Rounds } from "../rounds.js";
import { toldError } from "../told-error.js";
import type { Upgrade } from "../upgrade.js";
import { ChannelWriter } from "./channel-writer.js";
import { MessageIntake } from "./message-intake.js";
import type { Channel, Endpoint, Hearer } from "./websocket-front.js";

/** From the first word of a close until the connection is gone, whatever the peer does. */
export const closeMsMax = 1_000;
/** What a chunk costs beside its bytes, in bytes that could be copied meanwhile. */
const chunkCostBytes = 256;

/** Those that RFC 6455 and its registry have for us. */
type CloseCode =
  /** The server stops. */
  | 1001
  /** Against a rule: too slow, too late. */
  | 1008
  /** No room: again later. */
  | 1013;

export interface ChannelParts {
  readonly ws: WebSocket;
  readonly upgrade: Upgrade;
  readonly endpoint: Endpoint;
  readonly limits: Pick<Options, "bodyTimeoutMs" | "replyTimeoutMs">;
  readonly pingMs: number;
  readonly reads: Rounds;
  readonly writes: Rounds;
  readonly metrics: Pick<Metrics, "replied" | "refused">;
  readonly log: Log;
  readonly tracer: Tracer;
  /** Something came, or it is held, or not any more: it idles from now on, or does not. */
  readonly onActivity: (channel: OpenChannel) => void;
  readonly isDraining: () => boolean;
}

interface Message {
  readonly content: string | Buffer;
  readonly bytes: number;
  readonly atMs: number;
  readonly share: BodyShare;
}

export class OpenChannel implements Channel, Rester {
  readonly id: string;
  readonly caller: Caller;
  readonly query: URLSearchParams;
  readonly socket: Socket;
  readonly #parts: ChannelParts;
  readonly #closed = new AbortController();
  readonly #writer: ChannelWriter;
  /** What the front keeps for it. */
  readonly #kept: ReplyShare;
  readonly #intake: MessageIntake;
  readonly #bodies: BodyBudget;
  readonly #hearer: Hearer;
  readonly #messages: Message[] = [];
  #isHearing = false;
  #holds = 0;
  /** Why nothing is read: each of them must be over. */
  readonly #pauses = new Set<"round" | "behind" | "hearing">();
  #isClosing = false;
  #seenBytes = 0;
  #isPinged = false;
  readonly #pings: NodeJS.Timeout;
  #lookAgain: NodeJS.Immediate | undefined;
  #closeTimer: NodeJS.Timeout | null = null;

  constructor(parts: ChannelParts) {
    const { ws, upgrade, endpoint, limits } = parts;
    const { id, caller, socket, bodies, replies, request } = upgrade;
    this.#parts = parts;
    this.id = id;
    this.caller = caller;
    this.socket = socket;
    this.query = queryOf(request.url ?? "");
    this.#bodies = bodies;
    const onStall = (): void => this.#cutOff(1008, "you do not take what you asked for");
    this.#kept = new ReplyShare(replies, onStall);
    this.#writer = new ChannelWriter(ws, {
      budget: replies,
      rounds: parts.writes,
      stallMs: limits.replyTimeoutMs,
      onStall,
      onBehind: (isBehind) => this.#pause("behind", isBehind),
    });
    this.#intake = new MessageIntake({
      budget: bodies,
      timeoutMs: limits.bodyTimeoutMs,
      refuse: (error) => this.#refuse(error),
    });
    this.#listen();
    this.#pings = setInterval(() => this.#beat(), parts.pingMs);
    this.#hearer = endpoint.open(this);
  }

  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  get isHeld(): boolean {
    return this.#holds > 0 || this.#isHearing;
  }

  say(text: string | Buffer): void {
    if (!this.#isClosing) this.#writer.say(text);
  }

  keep(bytes: number): void {
    if (bytes < 0) this.#kept.shrink(-bytes);
    else if (!this.#closed.signal.aborted) this.#kept.grow(bytes);
  }

  hold(): () => void {
    this.#holds += 1;
    this.#parts.onActivity(this);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.#holds -= 1;
      this.#settle();
    };
  }

  begin(
    carried: unknown,
    { atMs, id }: { readonly atMs: number; readonly id: string },
  ): TraceSpan | null {
    const { tracer, endpoint } = this.#parts;
    return tracer.begin(`message ${endpoint.path}`, readCarriedTrace(carried), {
      kind: "server",
      atMs,
      attributes: {
        "http.route": endpoint.path,
        "network.protocol.name": "websocket",
        "millrace.request.id": id,
        "millrace.connection.id": this.id,
      },
    });
  }

  told(thrown: unknown): MillraceError {
    const { metrics, log } = this.#parts;
    const error = toldError(thrown, () =>
      log.error({ err: thrown, requestId: this.id }, "internal error"),
    );
    metrics.refused(error.code);
    return error;
  }

  replied(status: number, workClass: WorkClass | "none"): void {
    const { metrics, endpoint } = this.#parts;
    metrics.replied({ route: endpoint.path, status, class: workClass });
  }

  /** After what was said. The reason has 123 bytes at most. */
  #close(code: CloseCode, reason: string): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    const { ws } = this.#parts;
    this.#writer.whenEmpty(() => {
      this.#limitClose();
      ws.close(code, reason);
    });
  }

  /** Now, also where something waits to be said. */
  end(code: CloseCode, reason: string): void {
    this.#cutOff(code, reason);
  }

  /** When nothing is under way for it any more. */
  drain(): void {
    if (!this.isHeld) this.#close(1001, "the server stops");
  }

  rest(): void {
    this.#pause("round", true);
  }

  wake(): void {
    this.#pause("round", false);
  }

  #listen(): void {
    const { ws } = this.#parts;
    const { socket } = this;
    socket.on("data", (chunk: Buffer) => this.#took(chunk.length));
    ws.on("message", (data: Buffer, isBinary) => this.#came(data, isBinary));
    ws.on("ping", (data: Buffer) => {
      this.#intake.control(data.length);
      // The last one is as good as all: who does not read gets no more to read.
      if (ws.bufferedAmount === 0) ws.pong(data);
    });
    ws.on("pong", (data: Buffer) => this.#intake.control(data.length));
    // What was wrong with a frame: the library says it in its close.
    ws.on("error", () => {
      this.#isClosing = true;
      this.#limitClose();
    });
    ws.once("close", () => this.#over());
    socket.once("close", () => this.#over());
  }

  #took(bytes: number): void {
    if (this.#closed.signal.aborted || this.#isClosing) return;
    this.#intake.took(bytes);
    this.#parts.reads.took(this, bytes + chunkCostBytes);
    this.#parts.onActivity(this);
  }

  /** The library tells of one message in a turn of the event loop, so that a flood of tiny ones stalls nobody. */
  #came(data: Buffer, isBinary: boolean): void {
    this.#intake.whole();
    if (this.#isClosing) return;
    const share = this.#bodies.open((error) => this.#refuse(error));
    try {
      share.grow(data.length + chunkCostBytes);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      this.#refuse(error);
      return;
    }
    share.arrived();
    const content = isBinary ? data : data.toString();
    this.#messages.push({ content, bytes: data.length, atMs: performance.now(), share });
    if (this.#isHearing) this.#pause("hearing", true);
    else void this.#hear();
  }

  async #hear(): Promise<void> {
    this.#isHearing = true;
    for (;;) {
      const message = this.#messages.shift();
      if (message === undefined) break;
      const { content, bytes, atMs, share } = message;
      share.settle();
      try {
        const heard = this.#hearer.onMessage(content, { atMs, bytes });
        // A message that is read at once costs no turn.
        if (heard !== undefined) await heard;
      } catch (error) {
        this.told(error);
        this.#cutOff(1008, "a bug in Millrace; its log has it");
      } finally {
        share.release();
      }
    }
    this.#isHearing = false;
    this.#pause("hearing", false);
    this.#settle();
  }

  #settle(): void {
    if (this.#closed.signal.aborted) return;
    this.#parts.onActivity(this);
    if (this.#parts.isDraining()) this.drain();
  }

  #pause(why: "round" | "behind" | "hearing", isPaused: boolean): void {
    const { ws } = this.#parts;
    if (isPaused) this.#pauses.add(why);
    else this.#pauses.delete(why);
    if (this.#pauses.size > 0) ws.pause();
    else ws.resume();
  }

  /** A peer that was pinged and of which nothing came since is not there any more. */
  #beat(): void {
    const { bytesRead } = this.socket;
    const hasCome = bytesRead !== this.#seenBytes;
    this.#seenBytes = bytesRead;
    // What it may have sent is not read, or it has enough to read: how long that may take is the writer's rule.
    if (this.#pauses.size > 0 || !this.#writer.isFree) {
      this.#isPinged = false;
      return;
    }
    if (this.#isPinged && !hasCome) {
      // Where this process stood still its timers come first, and what lies in the socket is read behind them.
      this.#lookAgain = setImmediate(() => {
        if (this.socket.bytesRead === bytesRead) this.#parts.ws.terminate();
      });
      return;
    }
    this.#isPinged = true;
    this.#parts.ws.ping();
  }

  #refuse(error: MillraceError): void {
    this.#parts.metrics.refused(error.code);
    this.#cutOff(error.code === "queue_full" ? 1013 : 1008, error.message);
  }

  #cutOff(code: CloseCode, reason: string): void {
    this.#isClosing = true;
    this.#writer.end();
    this.#kept.release();
    this.#intake.end();
    this.#limitClose();
    this.#parts.ws.close(code, reason.slice(0, 120));
    // From here on nobody waits for what is under way.
    this.#closed.abort();
  }

  #limitClose(): void {
    this.#closeTimer ??= setTimeout(() => this.#parts.ws.terminate(), closeMsMax);
  }

  #over(): void {
    clearInterval(this.#pings);
    clearImmediate(this.#lookAgain);
    if (this.#closeTimer !== null) clearTimeout(this.#closeTimer);
    this.#isClosing = true;
    this.#writer.end();
    this.#kept.release();
    this.#intake.end();
    for (const { share } of this.#messages.splice(0)) share.release();
    this.#parts.reads.forget(this);
    this.#closed.abort();
  }
}
