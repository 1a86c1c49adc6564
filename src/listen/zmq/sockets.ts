/**
 * The two sockets of a protocol over ZeroMQ. The only file that knows the package; it is loaded when somebody listens, for most
 * servers do not.
 */
import type { SocketOptions, XPublisher } from "zeromq";
import type { CurveKeys } from "./curve.js";
import { readCurveKeys } from "./curve.js";
import { GrantedSubscriptions, type GrantedSubscriptionsParts } from "./granted-subscriptions.js";
import type { Frame } from "./reply-queues.js";

export interface SocketsParts {
  readonly host: string;
  readonly port: number;
  readonly portOut: number;
  readonly takes: "pull" | "router";
  readonly frameBytesMax: number;
  readonly handshakeMs: number;
  readonly curveSecretKeyFile: string | null;
  /** What of a subscription may be read; null: whoever can connect reads what he likes. */
  readonly grants: Omit<GrantedSubscriptionsParts, "socket"> | null;
}

export interface Sockets {
  /** `tcp://127.0.0.1:5555`, where messages come in, and where subscribers connect. */
  readonly url: string;
  readonly urlOut: string;
  readonly curvePublicKey: string | null;
  /** Ends when the sockets are closed. */
  readonly messages: AsyncIterable<readonly Buffer[]>;
  /** What subscribers say: a byte, and the topic. */
  readonly subscriptions: AsyncIterable<readonly Buffer[]>;
  /** Whether all that it goes to had room for it. */
  publish(frames: readonly Frame[]): Promise<boolean>;
  /** From now on subscribers that have no room lose it. Rarely: each time a warning is printed. */
  setLossy(isLossy: boolean): void;
  /** Of a router: the first frame is the peer. Who has gone, or takes nothing, loses it. */
  reply(frames: readonly Frame[]): Promise<void>;
  /** What ZeroMQ has taken is sent for a second more. */
  close(): void;
}

/**
 * Messages that ZeroMQ itself keeps for a peer, each way: few, because it counts them and not their bytes. What is more waits
 * on the other side, or in the queues.
 */
const highWaterMark = 16;
const lingerMs = 1_000;
/** A subscription: a byte, and a topic that is longer than any that is remembered. */
const subscriptionBytesMax = 2_048;
/** Options of a socket, by ZeroMQ's numbers; what they do to an XPUB is no part of the package's surface. */
const subscribeOption = 6;
const unsubscribeOption = 7;
/** A peer that is gone without a word is noticed in two minutes. */
const keepalive = {
  tcpKeepalive: 1,
  tcpKeepaliveIdle: 60,
  tcpKeepaliveInterval: 15,
  tcpKeepaliveCount: 4,
} as const;

/** @throws MillraceError `option_invalid` of the CURVE keys; what `listen` throws elsewhere, for instance EADDRINUSE */
export async function openSockets(parts: SocketsParts): Promise<Sockets> {
  const { Pull, Router, XPublisher, curveKeyPair } = await import("zeromq");
  const { curveSecretKeyFile: file, frameBytesMax, handshakeMs } = parts;
  const keys: CurveKeys | null = file === null ? null : await readCurveKeys(file, curveKeyPair);
  const shared = {
    ...keepalive,
    linger: lingerMs,
    maxMessageSize: frameBytesMax,
    handshakeInterval: handshakeMs,
    ipv6: parts.host.includes(":"),
    ...(keys === null ? {} : { curveServer: true, curveSecretKey: keys.secretKey }),
  };
  const one = { ...shared, receiveHighWaterMark: highWaterMark };
  const incoming = parts.takes === "pull" ? new Pull(one) : new Router({ ...one, sendTimeout: 0 });
  const { out, granted } = openPublisher(XPublisher, shared, parts.grants);
  const close = (): void => {
    incoming.close();
    out.close();
  };
  try {
    await bind(incoming, parts.host, parts.port);
    await bind(out, parts.host, parts.portOut);
  } catch (error) {
    close();
    throw error;
  }
  return {
    url: incoming.lastEndpoint ?? "",
    urlOut: out.lastEndpoint ?? "",
    curvePublicKey: keys?.publicKey ?? null,
    messages: incoming,
    subscriptions: granted ?? out,
    publish: async (frames) => {
      while (granted?.isGranting === true) await Promise.resolve();
      try {
        await out.send([...frames]);
        return true;
      } catch (error) {
        if (isFull(error)) return false;
        throw error;
      }
    },
    // ZeroMQ minds it at once, whatever the package warns of.
    setLossy: (isLossy) => {
      out.noDrop = !isLossy;
    },
    reply: async (frames) => {
      if (incoming instanceof Router) await incoming.send([...frames]);
    },
    close,
  };
}

interface OpenPublisher {
  readonly out: XPublisher;
  readonly granted: GrantedSubscriptions | null;
}

function openPublisher(
  base: typeof XPublisher,
  shared: SocketOptions<XPublisher>,
  grants: SocketsParts["grants"],
): OpenPublisher {
  class Publisher extends base {
    grant(topic: Buffer): void {
      this.setStringOption(subscribeOption, topic);
    }

    withdraw(topic: Buffer): void {
      this.setStringOption(unsubscribeOption, topic);
    }
  }
  const out = new Publisher({
    ...shared,
    maxMessageSize: subscriptionBytesMax,
    sendHighWaterMark: highWaterMark,
    sendTimeout: 0,
  });
  out.verbosity = "allSubs";
  out.noDrop = true;
  if (grants === null) return { out, granted: null };
  out.manual = true;
  return { out, granted: new GrantedSubscriptions({ socket: out, ...grants }) };
}

/** ZeroMQ resolves no names of machines here. */
function addressOf(host: string, port: number): string {
  const name = host === "localhost" ? "127.0.0.1" : host;
  const shown = name.includes(":") ? `[${name}]` : name;
  return `tcp://${shown}:${port === 0 ? "*" : port}`;
}

function isFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EAGAIN";
}

/** Its error has what Node's own has where nothing can be listened on: `code`, `address`, `port`. */
async function bind(
  socket: { bind(address: string): Promise<void> },
  address: string,
  port: number,
): Promise<void> {
  try {
    await socket.bind(addressOf(address, port));
  } catch (cause) {
    const { code, message } = { code: "", message: String(cause), ...reasonOf(cause) };
    const told = `ZeroMQ cannot listen on ${address}:${port}: ${message}`;
    throw Object.assign(new Error(told, { cause }), { code, address, port });
  }
}

function reasonOf(error: unknown): { readonly code?: string; readonly message?: string } {
  if (!(error instanceof Error)) return {};
  const { message } = error;
  return "code" in error && typeof error.code === "string"
    ? { code: error.code, message }
    : { message };
}
