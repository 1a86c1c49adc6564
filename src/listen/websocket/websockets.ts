/**
 * READ FIRST of this folder. WebSockets for every front, on the port of HTTP, whose listener has checked who asks and for what
 * (../upgrade.ts). It speaks no protocol of its own.
 *
 *   upgrade ─► handshake ─► channel ─► the front's hearer
 *                                      ▲            │
 *                                      └─ say ◄─────┘
 *
 * Nothing is compressed: what a stranger may unfold in memory is then what he sent.
 */
import type { IncomingMessage } from "node:http";
import { createRequire } from "node:module";
import type { Socket } from "node:net";
import { MillraceError, subprotocols } from "millrace-client/wire";
import type * as Ws from "ws";
import { type Access, openAccess } from "../../access/access.js";
import type { Log } from "../../log.js";
import type { Metrics } from "../../metrics/metrics.js";
import type { Options } from "../../options/options.js";
import { noTracer, type Tracer } from "../../tracing/tracer.js";
import { AgeQueue, type QueuePlace } from "../age-queue.js";
import { queryOf } from "../query-of.js";
import { Rounds } from "../rounds.js";
import type { Upgrade, Upgrades } from "../upgrade.js";
import { checkHandshake, offeredKeyOf } from "./handshake.js";
import { closeMsMax, OpenChannel } from "./open-channel.js";
import { passOverBehindErrors } from "./receiver-guard.js";
import type { Endpoint, WebSocketFront } from "./websocket-front.js";

export interface WebSocketsParts {
  readonly fronts: readonly WebSocketFront[];
  readonly limits: Pick<Options, "bodyBytesMax" | "bodyTimeoutMs" | "replyTimeoutMs">;
  readonly metrics: Pick<Metrics, "replied" | "refused">;
  readonly log: Log;
  /** Default: nobody traces anything. */
  readonly tracer?: Tracer;
  /** Default: whoever is there may stay. */
  readonly access?: Pick<Access, "renewed" | "onChange">;
  /** How often a peer that is silent is asked whether it is there. Default: 15 s. */
  readonly pingMs?: number;
  /** Default: `performance.now()`. By it is told who idles. */
  readonly nowMs?: () => number;
}

// Not imported: of CommonJS behind an import Node reads each file a second time, to find its names, and of these that is a
// tenth of what a server takes to start.
const require = createRequire(import.meta.url);
const library = require("ws") as typeof Ws;

const pingMsDefault = 15_000;
/** Shorter: the peer may be about to say something. */
const idleMsMin = 1_000;
/** Parts of a message, and chunks of a part, that the library keeps beside each other. */
const fragmentsMax = 1_024;
const chunksMax = 16_384;

interface Idle {
  readonly channel: OpenChannel;
  readonly sinceMs: number;
}

export class WebSockets implements Upgrades {
  readonly #parts: WebSocketsParts;
  readonly #nowMs: () => number;
  readonly #endpoints: ReadonlyMap<string, Endpoint>;
  readonly #server: Ws.WebSocketServer;
  readonly #writes = new Rounds();
  readonly #stopHearing: () => void;
  readonly #open = new Set<OpenChannel>();
  /** Those for which nothing is under way, by when something last came. */
  readonly #idle = new AgeQueue<Idle>();
  readonly #places = new Map<OpenChannel, QueuePlace<Idle>>();
  #isDraining = false;
  #headers: Readonly<Record<string, string>> = {};

  constructor(parts: WebSocketsParts) {
    this.#parts = parts;
    const { access = openAccess } = parts;
    this.#stopHearing = access.onChange(() => this.#endStrangers(access));
    this.#nowMs = parts.nowMs ?? (() => performance.now());
    const all = parts.fronts.flatMap(({ endpoints }) => endpoints);
    // As with routes: where two have the same one it is the first's.
    this.#endpoints = new Map(
      all.map((endpoint) => [endpoint.path, endpoint] as const).toReversed(),
    );
    const options = {
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: parts.limits.bodyBytesMax,
      maxFragments: fragmentsMax,
      maxBufferedChunks: chunksMax,
      // One event of a connection in a turn of the event loop.
      allowSynchronousEvents: false,
      autoPong: false,
      // Its types have not heard of this one.
      closeTimeout: closeMsMax,
      handleProtocols: (offered: ReadonlySet<string>) =>
        offered.has(subprotocols.v1) ? subprotocols.v1 : (false as const),
    };
    this.#server = new library.WebSocketServer(options);
    this.#server.on("headers", (lines) => {
      for (const [name, value] of Object.entries(this.#headers)) lines.push(`${name}: ${value}`);
    });
  }

  credentialOf(request: IncomingMessage): string | null {
    return offeredKeyOf(request);
  }

  check(request: IncomingMessage, path: string): void {
    const endpoint = this.#endpoints.get(path);
    if (endpoint === undefined) {
      const known = [...this.#endpoints.keys()].join(", ");
      throw new MillraceError("not_found", `${path} is no WebSocket's; there are ${known}.`);
    }
    if (this.#isDraining) throw new MillraceError("draining", "The server is stopping.");
    checkHandshake(request);
    endpoint.check?.(queryOf(request.url ?? ""));
  }

  accept(upgrade: Upgrade): void {
    const endpoint = this.#endpoints.get(upgrade.path);
    if (endpoint === undefined) throw new Error("accept: ask check() first");
    const { request, socket, head, headers } = upgrade;
    this.#headers = headers;
    this.#server.handleUpgrade(request, socket, head, (ws) => {
      passOverBehindErrors(ws);
      const { limits, metrics, log, pingMs = pingMsDefault, tracer = noTracer } = this.#parts;
      const channel = new OpenChannel({
        ws,
        upgrade,
        endpoint,
        limits,
        metrics,
        log,
        tracer,
        pingMs,
        reads: upgrade.reads,
        writes: this.#writes,
        onActivity: (active) => this.#order(active),
        isDraining: () => this.#isDraining,
      });
      this.#open.add(channel);
      this.#order(channel);
      channel.closed.addEventListener("abort", () => this.#forget(channel), { once: true });
    });
  }

  closeIdle(): Socket | null {
    const { oldest } = this.#idle;
    if (oldest === null || this.#nowMs() - oldest.value.sinceMs < idleMsMin) return null;
    const { channel } = oldest.value;
    channel.end(1013, "others wait for a connection");
    return channel.socket;
  }

  drain(): void {
    this.#isDraining = true;
    for (const channel of this.#open) channel.drain();
  }

  close(): void {
    this.#isDraining = true;
    this.#stopHearing();
    for (const channel of this.#open) channel.end(1001, "the server stops");
  }

  /** Keys have changed: whose key is gone hears no more of what others ask. */
  #endStrangers(access: Pick<Access, "renewed">): void {
    for (const channel of this.#open) {
      try {
        access.renewed(channel.caller);
      } catch {
        channel.end(1008, "the key was revoked");
      }
    }
  }

  /** To the end of those that idle, or out of them. */
  #order(channel: OpenChannel): void {
    if (!this.#open.has(channel)) return;
    const place = this.#places.get(channel);
    place?.queue.remove(place);
    this.#places.delete(channel);
    if (channel.isHeld) return;
    const idle = { channel, sinceMs: this.#nowMs() };
    this.#places.set(channel, this.#idle.append(idle));
  }

  #forget(channel: OpenChannel): void {
    this.#open.delete(channel);
    const place = this.#places.get(channel);
    place?.queue.remove(place);
    this.#places.delete(channel);
  }
}
