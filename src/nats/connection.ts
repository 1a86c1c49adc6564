/**
 * READ FIRST of this room. The one place that opens connections to NATS. A `NatsLink` lives as long as its server, whatever NATS does:
 *
 *   open ─► connecting ─► connected ◄──────┐
 *               │             │ lost, or NATS is silent
 *               │             ▼            │
 *               │           away ──────────┘ for ever, each second
 *               └─► closed ◄── close: what was sent is flushed, then the connection ends
 *
 * The first connection is waited for in the background: NATS that is down keeps no server from starting. While it is away the library
 * would keep in memory whatever is published, without a bound: so nobody publishes but through `connected`, which is null then.
 */
import { readFile } from "node:fs/promises";
import {
  type Authenticator,
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  type NatsConnection,
  nkeyAuthenticator,
  type Status,
} from "@nats-io/transport-node";
import { MillraceError } from "millrace-client/wire";
import { messageOf } from "../work/thrown.js";
import { within } from "../work/within.js";
import { makeInstance } from "./subjects.js";

/** The options of that name (src/options/nats-options.ts). */
export interface NatsLinkOptions {
  /** URLs with commas between. */
  readonly nats: string;
  readonly natsPrefix: string;
  readonly natsCredentials: string | null;
  readonly natsCa: string | null;
  readonly natsCert: string | null;
  readonly natsKey: string | null;
  /** As NATS shows it among its clients. */
  readonly name: string;
  readonly log: NatsLog;
}

/** What a log can do for a link; the server's is one. */
export interface NatsLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export type NatsState = "connecting" | "connected" | "away" | "closed";

export interface NatsListener {
  /** The connection works: the first time, and each time after it was away. What was subscribed on the same one is subscribed still. */
  readonly onConnected?: (connection: NatsConnection) => void;
  /** Nothing can be sent or heard from now on. */
  readonly onAway?: () => void;
}

const retryMs = 1_000;
const dialMsMax = 5_000;
/** A server that is silent is noticed after two of them. */
const pingMs = 2_000;
const closeMsMax = 2_000;
const fileBytesMax = 1024 * 1024;

export class NatsLink implements AsyncDisposable {
  /** What subjects, streams and buckets begin with. */
  readonly prefix: string;
  /** By which the others of the deployment know this server, until it ends. */
  readonly instance: string = makeInstance();
  readonly #log: NatsLog;
  readonly #dial: ConnectionOptions;
  readonly #listeners = new Set<NatsListener>();
  readonly #ending = new AbortController();
  readonly #living: Promise<void>;
  #connection: NatsConnection | null = null;
  #state: NatsState = "connecting";
  /** Why it is not connected; null while it is. */
  #reason: string | null = null;
  #closing: Promise<void> | null = null;

  /** Reads the files and begins to connect; waits for no server. @throws MillraceError `option_invalid` */
  static async open(options: NatsLinkOptions): Promise<NatsLink> {
    return new NatsLink(options, await dialOf(options));
  }

  private constructor({ natsPrefix, log }: NatsLinkOptions, dial: ConnectionOptions) {
    this.prefix = natsPrefix;
    this.#log = log;
    this.#dial = dial;
    this.#living = this.#live();
  }

  get state(): NatsState {
    return this.#state;
  }

  /** Why it is not connected, for people; null while it is. */
  get reason(): string | null {
    return this.#reason;
  }

  /** Null while it is away: whoever wants to send something then says so to its caller. */
  get connected(): NatsConnection | null {
    return this.#state === "connected" ? this.#connection : null;
  }

  /** @throws MillraceError `not_ready` while it is away */
  get connection(): NatsConnection {
    const { connected } = this;
    if (connected !== null) return connected;
    throw new MillraceError("not_ready", `NATS is not there: ${this.#reason ?? this.#state}`);
  }

  /** Told at once where it is connected already. The function that comes back ends it. */
  listen(listener: NatsListener): () => void {
    this.#listeners.add(listener);
    const { connected } = this;
    if (connected !== null) listener.onConnected?.(connected);
    return () => this.#listeners.delete(listener);
  }

  /** @throws the signal's reason, or MillraceError `draining` when it is closed */
  async whenConnected(signal?: AbortSignal): Promise<NatsConnection> {
    const { connected } = this;
    if (connected !== null) return connected;
    const ended = AbortSignal.any([this.#ending.signal, ...(signal === undefined ? [] : [signal])]);
    ended.throwIfAborted();
    return await new Promise((resolve, reject) => {
      const onAbort = (): void => {
        stop();
        reject(ended.reason);
      };
      const stop = this.listen({
        onConnected: (connection) => {
          stop();
          ended.removeEventListener("abort", onAbort);
          resolve(connection);
        },
      });
      ended.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Flushes what was sent and ends it, within six seconds whatever NATS does. A second call gets the first one's promise. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const connection = this.#connection;
    const wasConnected = this.#state === "connected";
    this.#ending.abort(new MillraceError("draining", "the connection to NATS is closed"));
    this.#state = "closed";
    this.#reason = "closed";
    if (connection !== null) {
      // A drain waits for an answer of NATS, which may never come.
      // Whatever becomes of it, in time or later: nobody is there to hear of it.
      if (wasConnected)
        await within(
          closeMsMax,
          connection.drain().catch(() => {}),
        );
      await within(
        closeMsMax,
        connection.close().catch(() => {}),
      );
    }
    // Who is dialled may answer nothing.
    await within(closeMsMax, this.#living);
    this.#listeners.clear();
  }

  /** Connections one after the other: the library keeps one alive, and should it give up there is a new one. */
  async #live(): Promise<void> {
    const { signal } = this.#ending;
    let told: string | null = null;
    while (!signal.aborted) {
      try {
        const connection = await connect(this.#dial);
        told = null;
        await this.#use(connection);
      } catch (error) {
        this.#reason = messageOf(error);
        // The same line each second helps nobody.
        if (told !== this.#reason && !signal.aborted) {
          this.#log.warn({ reason: this.#reason }, "NATS is not there; it is tried again");
        }
        told = this.#reason;
      }
      await pause(retryMs, signal);
    }
  }

  async #use(connection: NatsConnection): Promise<void> {
    if (this.#ending.signal.aborted) return await connection.close();
    this.#connection = connection;
    const statuses = connection.status();
    this.#arrived(connection);
    for await (const status of statuses) {
      if (this.#ending.signal.aborted) break;
      this.#noticed(status, connection);
      if (status.type === "close") break;
    }
    if (this.#ending.signal.aborted) return;
    const error = await connection.closed();
    this.#left(error instanceof Error ? error.message : "the connection was closed");
    this.#connection = null;
  }

  #noticed(status: Status, connection: NatsConnection): void {
    if (status.type === "disconnect") this.#left(`${status.server} is gone`);
    else if (status.type === "staleConnection") this.#left("the server is silent");
    else if (status.type === "reconnect") this.#arrived(connection);
    else if (status.type === "error") {
      this.#log.warn({ reason: status.error.message }, "NATS refused something");
    }
  }

  #arrived(connection: NatsConnection): void {
    if (this.#state === "connected" || this.#state === "closed") return;
    this.#state = "connected";
    this.#reason = null;
    const { info } = connection;
    const server = { server: connection.getServer(), version: info?.version };
    this.#log.info(server, "NATS is connected");
    for (const listener of this.#listeners) listener.onConnected?.(connection);
  }

  #left(reason: string): void {
    if (this.#state !== "connected") return;
    this.#state = "away";
    this.#reason = reason;
    this.#log.warn({ reason }, "NATS is away; it is tried again");
    for (const listener of this.#listeners) listener.onAway?.();
  }
}

async function dialOf(options: NatsLinkOptions): Promise<ConnectionOptions> {
  const { natsPrefix, natsCredentials, natsCa, natsCert, natsKey, name } = options;
  if (!/^[A-Za-z0-9_-]+$/.test(natsPrefix)) {
    const message = `--nats-prefix ${natsPrefix}: letters, digits, dashes and underscores only`;
    throw new MillraceError("option_invalid", message);
  }
  const { servers, user, pass, isTls } = serversOf(options.nats);
  const [ca, cert, key] = await Promise.all([
    natsCa === null ? null : textOf(natsCa, "nats-ca"),
    natsCert === null ? null : textOf(natsCert, "nats-cert"),
    natsKey === null ? null : textOf(natsKey, "nats-key"),
  ]);
  const files = { ...(ca !== null && { ca }), ...(cert !== null && { cert }) };
  const hasFiles = ca !== null || cert !== null;
  return {
    servers: [...servers],
    name,
    inboxPrefix: `${natsPrefix}.inbox`,
    timeout: dialMsMax,
    pingInterval: pingMs,
    maxPingOut: 2,
    maxReconnectAttempts: -1,
    reconnectTimeWait: retryMs,
    // A key may be granted later: that is no reason to give up either.
    ignoreAuthErrorAbort: true,
    noAsyncTraces: true,
    ...((isTls || hasFiles) && { tls: { ...files, ...(key !== null && { key }) } }),
    ...(user !== null && (pass === null ? { token: user } : { user, pass })),
    ...(natsCredentials !== null && {
      authenticator: authenticatorOf(await textOf(natsCredentials, "nats-credentials")),
    }),
  };
}

interface Servers {
  /** Without what is secret in them. */
  readonly servers: readonly string[];
  readonly user: string | null;
  readonly pass: string | null;
  readonly isTls: boolean;
}

/** No message quotes a URL: it may hold a password. */
function serversOf(list: string): Servers {
  const urls = list.split(",").map((each) => urlOf(each.trim()));
  const [first] = urls;
  if (first === undefined) throw invalid("names no server");
  for (const { username, password, protocol } of urls) {
    if (username !== first.username || password !== first.password) {
      throw invalid(
        "has URLs with different users or passwords; all servers of one NATS know the same",
      );
    }
    if (protocol !== first.protocol) throw invalid("has URLs with TLS and without");
  }
  return {
    servers: urls.map(({ host }) => host),
    user: first.username === "" ? null : decodeURIComponent(first.username),
    pass: first.password === "" ? null : decodeURIComponent(first.password),
    isTls: first.protocol === "tls:",
  };
}

function urlOf(text: string): URL {
  const withScheme = /^[a-z]+:\/\//.test(text) ? text : `nats://${text}`;
  if (!URL.canParse(withScheme)) throw invalid("has a URL that is none");
  const url = new URL(withScheme);
  if (url.protocol !== "nats:" && url.protocol !== "tls:") {
    throw invalid(`has a URL of ${url.protocol}//; nats:// and tls:// are known`);
  }
  if (url.hostname === "" || !/^\/?$/.test(url.pathname) || url.search !== "") {
    throw invalid("has a URL that is more or less than a server");
  }
  return url;
}

function authenticatorOf(text: string): Authenticator {
  const bytes = new TextEncoder().encode(text.trim());
  return text.includes("-----BEGIN") ? credsAuthenticator(bytes) : nkeyAuthenticator(bytes);
}

async function textOf(path: string, option: string): Promise<string> {
  try {
    const text = await readFile(path, "utf8");
    if (text.length === 0 || text.length > fileBytesMax)
      throw new Error("it is empty, or no such file");
    return text;
  } catch (error) {
    const message = `--${option} cannot be used: ${messageOf(error)}`;
    throw new MillraceError("option_invalid", message, { cause: error });
  }
}

function invalid(what: string): MillraceError {
  return new MillraceError("option_invalid", `--nats ${what}`);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
}
