/** A real HTTP front on port 0 before an `EchoSubmit`; `await using` closes it. */

import { connect, type Socket } from "node:net";
import {
  MillraceError,
  type ModelInfo,
  type ServerState,
  type StatusResponse,
} from "millrace-client/wire";
import { type Access, openAccess } from "#src/access/access.js";
import { GuardedSubmit } from "#src/access/guarded-submit.js";
import type { FrontParts, OpenFront } from "#src/front/front.js";
import { openNativeFront } from "#src/front/native/native.js";
import { openStreamsFront } from "#src/front/streams/streams.js";
import type { HttpFront } from "#src/listen/http/http-front.js";
import {
  type HttpListener,
  type HttpListenerParts,
  startHttpListener,
} from "#src/listen/http/listener.js";
import { identificationOf } from "#src/listen/identification.js";
import { WebSockets, type WebSocketsParts } from "#src/listen/websocket/websockets.js";
import { createLog } from "#src/log.js";
import { Metrics } from "#src/metrics/metrics.js";
import type { Options } from "#src/options/options.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { anyCaller } from "#src/work/caller.js";
import type { ServerViews } from "#src/work/views.js";
import { EchoSubmit } from "./echo-submit.js";
import { identity } from "./identity.js";
import { someStatus } from "./some-status.js";

/** What is not an option, but differs in a test. */
type TestTimes = Pick<HttpListenerParts, "signOfLifeMs" | "nowMs"> &
  Partial<Pick<HttpListenerParts, "access" | "origins">> &
  Partial<Pick<FrontParts, "jobs" | "feed" | "profiles" | "recorder">> &
  Pick<WebSocketsParts, "pingMs">;

/** Whoever says one of these words is the caller of that name; anybody else is nobody. */
export function accessFor(...keys: readonly string[]): Access {
  return {
    ...openAccess,
    isOpen: false,
    callerOf: (credential) => {
      const key = keys.find((known) => known === credential);
      if (key !== undefined) return { ...anyCaller, key, isAdmin: false };
      throw new MillraceError("unauthenticated", "There is no such key.");
    },
  };
}

export class TestFront implements AsyncDisposable {
  readonly submit: EchoSubmit = new EchoSubmit();
  readonly metrics: Metrics = new Metrics();
  state: ServerState = "ready";
  /** Of the model, where a protocol chooses by them. */
  languages: Pick<ModelInfo, "sourceLanguage" | "targetLanguage"> = {};
  readonly #sockets: RawSocket[] = [];
  #listener: HttpListener | null = null;

  static async start(
    options: Partial<Options> = {},
    { pingMs, access = openAccess, jobs, feed, profiles, recorder, ...times }: TestTimes = {},
    others: readonly (HttpFront | OpenFront)[] = [],
  ): Promise<TestFront> {
    const test = new TestFront();
    const resolved = resolveConfiguration({ code: { port: 0, logLevel: "silent", ...options } });
    const { metrics } = test;
    test.submit.requestInputsMax = resolved.options.requestInputsMax;
    const views = viewsOf(test);
    const parts = {
      submit: new GuardedSubmit(test.submit),
      views,
      tasks: [...test.submit.tasks].map(([name, form]) => ({ ...form, name })),
      options: resolved.options,
      metrics,
      ...(jobs === undefined ? {} : { jobs }),
      ...(feed === undefined ? {} : { feed }),
      ...(profiles === undefined ? {} : { profiles }),
      ...(recorder === undefined ? {} : { recorder }),
    };
    const fronts = [
      openNativeFront(parts),
      openStreamsFront(parts),
      ...others.map((other) => (typeof other === "function" ? other(parts) : { http: other })),
    ];
    const [first, ...more] = fronts.flatMap(({ http }) => http ?? []);
    if (first === undefined) throw new Error("no front speaks over HTTP");
    const log = createLog({ ...resolved.options, destination: process.stdout });
    const upgrades = new WebSockets({
      fronts: fronts.flatMap((front) => ("webSocket" in front ? (front.webSocket ?? []) : [])),
      limits: resolved.options,
      metrics,
      log,
      access,
      ...(pingMs === undefined ? {} : { pingMs }),
      ...(times.nowMs === undefined ? {} : { nowMs: times.nowMs }),
    });
    test.#listener = await startHttpListener({
      fronts: [first, ...more],
      access,
      upgrades,
      identification: identificationOf(views.identity),
      limits: resolved.options,
      metrics,
      log,
      ...times,
    });
    return test;
  }

  get front(): HttpListener {
    if (this.#listener === null) throw new Error("not started");
    return this.#listener;
  }

  get url(): string {
    return this.front.url;
  }

  /** POST /v1/translate; a body that is no string is sent as JSON. */
  async translate(
    body: unknown,
    init: {
      readonly headers?: Readonly<Record<string, string>>;
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<Response> {
    return await fetch(`${this.url}/v1/translate`, {
      method: "POST",
      body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
      ...init,
      headers: { "content-type": "application/json", ...init.headers },
    });
  }

  async raw(): Promise<RawSocket> {
    const socket = await RawSocket.open(this.front.port);
    this.#sockets.push(socket);
    return socket;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.submit.release();
    for (const { socket } of this.#sockets) socket.destroy();
    await this.front.close();
  }
}

/** `POST /v1/translate` as bytes. */
export function post(body: string, ...headers: readonly string[]): string {
  const lines = ["POST /v1/translate HTTP/1.1", "host: x", "content-type: application/json"];
  return [...lines, ...headers, "", body].join("\r\n");
}

/** With the length of its body. */
export function sized(body: string, ...headers: readonly string[]): string {
  return post(body, `content-length: ${Buffer.byteLength(body)}`, ...headers);
}

export function get(path: string): string {
  return `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
}

/** Bytes in, bytes out: for what no HTTP client would send. */
export class RawSocket {
  readonly socket: Socket;
  received = "";
  #ended = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => {
      this.received += text;
      this.#wake();
    });
    // A reset ends a connection as well as a close; `closed` tells the test.
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  static async open(port: number): Promise<RawSocket> {
    // What is sent is there: Nagle's algorithm would keep a byte back until those before it are acknowledged.
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    const raw = new RawSocket(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return raw;
  }

  send(bytes: string | Buffer): void {
    this.socket.write(bytes);
  }

  /** Until what was received matches; throws when the connection ends first. */
  async until(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.received)) {
      if (this.#ended) throw new Error(`ended before ${String(pattern)}: ${this.received}`);
      await this.#more();
    }
    return this.received;
  }

  /** Everything until the server closes. */
  async closed(): Promise<string> {
    while (!this.#ended) await this.#more();
    return this.received;
  }

  async #more(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }
}

function viewsOf(test: TestFront): ServerViews {
  return {
    identity,
    get isDraining() {
      return test.state === "draining";
    },
    ready: () => ({
      ready: test.state === "ready",
      state: test.state,
      models: [],
      notReady:
        test.state === "ready"
          ? []
          : [{ pipelineId: "echo-0", state: "starting", reason: "not yet" }],
      deployment: identity,
    }),
    status: () => statusOf(test),
    statistics: () => [],
    models: () => [
      {
        name: "echo",
        task: "translate",
        family: "marian",
        precision: "f32",
        ready: true,
        state: "resident",
        pipelines: ["echo-0"],
        reason: null,
        limits: { inputTokensMax: 512, outputTokensMax: 512 },
        ...test.languages,
      },
    ],
  };
}

function statusOf(test: TestFront): StatusResponse {
  const status = someStatus();
  return { ...status, state: test.state, process: { ...status.process, ...test.front.held() } };
}
