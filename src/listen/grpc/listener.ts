/**
 * READ FIRST of this folder. Listens for gRPC, for every front that has services: sockets, limits, deadlines, departures and statuses. It
 * knows no service but reflection, which is about all of them.
 *
 *   socket ─► too many? ─► the library's HTTP/2 ─► guarded call ─► handler ─► the front's method
 *                                                     │                          │
 *                                        who asks, room for its message    bytes, or an error
 */
import { setMaxListeners } from "node:events";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import {
  type ConnectionInjector,
  type Metadata,
  Server,
  ServerCredentials,
  type ServerOptions,
} from "@grpc/grpc-js";
import { type TlsFiles, tlsVersionMin } from "../../access/tls-files.js";
import type { Log } from "../../log.js";
import type { Options } from "../../options/options.js";
import { noTracer, type Tracer } from "../../tracing/tracer.js";
import { loggedTrace } from "../../work/trace-context.js";
import { listenOn, urlOf } from "../listening.js";
import type { RunningListener } from "../running-listener.js";
import type { GrpcFront, GrpcMethod } from "./grpc-front.js";
import { GuardedCall, type GuardedMethod, type GuardParts } from "./guarded-call.js";
import { bothStreamHandler, serverStreamHandler, unaryHandler } from "./handlers.js";
import type { OpenCall } from "./open-call.js";
import { ReadPlaces } from "./read-places.js";
import { addReflection } from "./reflection.js";
import { UntakenReplies } from "./untaken-replies.js";

export type GrpcLimits = Pick<
  Options,
  | "host"
  | "grpcMessageBytesMax"
  | "connectionsMax"
  | "bodiesBytesMax"
  | "headersTimeoutMs"
  | "bodyTimeoutMs"
  | "repliesBytesMax"
  | "replyTimeoutMs"
>;

export interface GrpcListenerParts
  extends Pick<GuardParts, "identification" | "access" | "metrics"> {
  readonly fronts: readonly GrpcFront[];
  readonly port: number;
  /** Null: it speaks no TLS. */
  readonly tls?: TlsFiles | null;
  /** Not where operators have a port of their own. */
  readonly hasAdminMethods: boolean;
  readonly limits: GrpcLimits;
  readonly log: Log;
  /** Default: nobody traces anything. */
  readonly tracer?: Tracer;
}

/** Of one connection at once; clients queue what is beyond. */
const callsMaxOfConnection = 256;
/** Calls of many messages, over all connections: each may have one message on its way in. */
const streamsMax = 64;
/** Calls of many replies to one message, which they have read. */
const watchesMax = 1_024;
/** Calls that wait to send their message. */
const waitingMax = 4_096;
/** A message that only asks, to reflection. */
const questionBytesMax = 64 * 1024;
/** Calls that are open when it closes are cut off after this long. */
const lingerMs = 1_000;

/** @throws the error of `listen`, for instance EADDRINUSE. */
export async function startGrpcListener(parts: GrpcListenerParts): Promise<RunningListener> {
  const listener = new Listener(parts);
  await listener.listen();
  return listener;
}

class Listener implements RunningListener {
  readonly #parts: GrpcListenerParts;
  readonly #guard: GuardParts;
  readonly #methods = new Map<string, GuardedMethod>();
  readonly #calls = new WeakMap<Metadata, OpenCall>();
  readonly #open = new Set<OpenCall>();
  /** By address and port of the other end. */
  readonly #sockets = new Map<string, Socket>();
  readonly #replies: UntakenReplies;
  readonly #grpc: Server;
  readonly #injector: ConnectionInjector;
  readonly #server: NetServer;
  readonly #drain = new AbortController();
  #draining: Promise<void> | null = null;
  #onIdle: (() => void) | null = null;
  #url = "";
  #stopReloading: () => void = () => {};

  constructor(parts: GrpcListenerParts) {
    const { limits, log, identification, access, metrics, tracer = noTracer } = parts;
    const { grpcMessageBytesMax, bodiesBytesMax, bodyTimeoutMs } = limits;
    const placesMax = Math.max(1, Math.floor(bodiesBytesMax / grpcMessageBytesMax));
    this.#parts = parts;
    this.#guard = {
      identification,
      access,
      metrics,
      tracer,
      bodyTimeoutMs,
      draining: this.#drain.signal,
      places: new ReadPlaces(placesMax, waitingMax),
      streams: new ReadPlaces(streamsMax, 0),
      watches: new ReadPlaces(watchesMax, 0),
      onCall: (metadata, call) => this.#began(metadata, call),
      onBug: ({ id: requestId, span }, thrown) => {
        log.error({ err: thrown, requestId, ...loggedTrace(span?.context) }, "internal error");
      },
    };
    this.#replies = new UntakenReplies({
      bytesMax: limits.repliesBytesMax,
      stallMs: limits.replyTimeoutMs,
      disconnect: (peer) => this.#sockets.get(peer)?.destroy(),
    });
    this.#grpc = new Server(this.#optionsOf(limits));
    for (const front of parts.fronts) this.#serve(front);
    addReflection(
      parts.fronts.flatMap(({ services }) => services),
      (definition, implementation) => {
        for (const { path } of Object.values(definition)) {
          const both = { hasManyMessages: true, hasManyReplies: true };
          const asks = { messageBytesMax: questionBytesMax, releasesByReply: true } as const;
          this.#methods.set(path, { path, ...both, ...asks });
        }
        this.#grpc.addService(definition, implementation);
      },
    );
    this.#injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure());
    const { tls = null } = parts;
    this.#server =
      tls === null
        ? createServer({ noDelay: true }, (socket) => this.#connected(socket))
        : this.#overTls(tls, limits);
    // As many as there are calls.
    setMaxListeners(0, this.#drain.signal);
  }

  #optionsOf({ grpcMessageBytesMax }: GrpcLimits): ServerOptions {
    return {
      "grpc.max_receive_message_length": grpcMessageBytesMax,
      "grpc.max_send_message_length": grpcMessageBytesMax,
      "grpc.max_concurrent_streams": callsMaxOfConnection,
      // Whoever is not there any more is noticed, and connections are made anew now and then, for balancers.
      "grpc.keepalive_time_ms": 60_000,
      "grpc.keepalive_timeout_ms": 20_000,
      "grpc.max_connection_idle_ms": 300_000,
      "grpc.max_connection_age_ms": 3_600_000,
      "grpc.enable_channelz": 0,
      interceptors: [
        (method, call) => {
          const guarded = this.#methods.get(method.path);
          if (guarded === undefined) throw new Error(`gRPC: nobody knows ${method.path}`);
          return new GuardedCall(call, guarded, this.#guard);
        },
      ],
    };
  }

  #serve({ name, services }: GrpcFront): void {
    for (const service of services) {
      for (const method of service.methods) {
        if (method.access === "admin" && !this.#parts.hasAdminMethods) continue;
        const path = `/${service.name}/${method.name}`;
        if (this.#methods.has(path)) throw new Error(`${name} answers ${path} twice`);
        const { kind } = method;
        this.#methods.set(path, {
          ...method,
          path,
          hasManyMessages: kind === "both-stream",
          hasManyReplies: kind !== "unary",
        });
        this.#register(path, method);
      }
    }
  }

  #register(path: string, method: GrpcMethod): void {
    const parts = { replies: this.#replies, callOf: (key: Metadata) => this.#callOf(key) };
    const same = (bytes: Buffer): Buffer => bytes;
    const buffer = (bytes: Uint8Array): Buffer =>
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    switch (method.kind) {
      case "unary":
        this.#grpc.register(path, unaryHandler(method, parts), buffer, same, "unary");
        return;
      case "server-stream":
        this.#grpc.register(path, serverStreamHandler(method, parts), buffer, same, "serverStream");
        return;
      case "both-stream":
        this.#grpc.register(path, bothStreamHandler(method, parts), buffer, same, "bidi");
    }
  }

  #began(metadata: Metadata, call: OpenCall): void {
    this.#calls.set(metadata, call);
    this.#open.add(call);
    call.onEnd(() => {
      this.#open.delete(call);
      if (this.#open.size === 0) this.#onIdle?.();
    });
  }

  #callOf(metadata: Metadata): OpenCall {
    const call = this.#calls.get(metadata);
    if (call === undefined) throw new Error("gRPC: a call that nobody let in");
    return call;
  }

  #overTls(tls: TlsFiles, { headersTimeoutMs, connectionsMax }: GrpcLimits): NetServer {
    const server = createTlsServer(
      {
        ...tls.current,
        minVersion: tlsVersionMin,
        ALPNProtocols: ["h2"],
        handshakeTimeout: headersTimeoutMs,
        noDelay: true,
      },
      (socket) => this.#connected(socket),
    );
    // Handshakes that are not over are connections that nobody has counted yet.
    server.maxConnections = connectionsMax;
    server.on("tlsClientError", (_error, socket) => socket.destroy());
    this.#stopReloading = tls.onChange((pair) => {
      server.setSecureContext({ ...pair, minVersion: tlsVersionMin });
    });
    return server;
  }

  #connected(socket: Socket): void {
    socket.on("error", () => {});
    if (this.#sockets.size >= this.#parts.limits.connectionsMax || this.#draining !== null) {
      socket.destroy();
      return;
    }
    const peer = `${socket.remoteAddress ?? ""}:${socket.remotePort ?? 0}`;
    this.#sockets.set(peer, socket);
    socket.once("close", () => this.#sockets.delete(peer));
    this.#injector.injectConnection(socket);
  }

  async listen(): Promise<void> {
    const { port, limits, tls = null } = this.#parts;
    const address = await listenOn(this.#server, { host: limits.host, port });
    this.#url = urlOf(tls === null ? "grpc" : "grpcs", address);
  }

  get url(): string {
    return this.#url;
  }

  drained(): Promise<void> {
    this.#draining ??= new Promise((resolve) => {
      this.#onIdle = resolve;
      if (this.#open.size === 0) resolve();
      this.#drain.abort();
    });
    return this.#draining;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#stopReloading();
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    // Connections without calls end at once, the others when their last call has ended, for so long as that may take.
    this.#injector.drain(lingerMs);
    const timer = setTimeout(() => {
      for (const socket of this.#sockets.values()) socket.destroy();
    }, lingerMs);
    await closed;
    clearTimeout(timer);
    this.#grpc.forceShutdown();
  }
}
