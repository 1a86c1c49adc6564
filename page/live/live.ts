/**
 * READ FIRST of this folder. What the server does, as it tells it: over its stream while that lasts, else asked for again and again until the stream is back.
 *
 *   stream: history, then a look each second ──► take ──► view ──► whoever shows it
 *      │ breaks, or is silent (a proxy keeps it back)      ▲
 *      └──► polls of `status`, until there is a stream ─────┘
 */
import type {
  Finding,
  LiveHistory,
  LiveSample,
  LiveStatus,
  NodeStatus,
  StatusResponse,
} from "millrace-client/wire";
import { liveSampleOf } from "#src/metrics/live-sample.js";
import { ServerEventParser } from "../../client/src/server-events.js";
import { messageOf } from "../thrown.js";
import { ask, askJson, Refusal } from "./ask.js";
import { History, type Second } from "./history.js";
import { pause } from "./pause.js";

export type Connection =
  | { readonly state: "connecting" }
  | { readonly state: "streaming" }
  /** `why`: what became of the stream. */
  | { readonly state: "polling"; readonly why: string }
  /** Nothing is seen; tried again after a while. */
  | { readonly state: "away"; readonly why: string }
  /** Not tried again until there is another key. */
  | { readonly state: "locked"; readonly why: string; readonly isRefused: boolean };

export interface LiveView {
  readonly connection: Connection;
  readonly status: StatusResponse | null;
  readonly nodes: readonly NodeStatus[] | null;
  /** Null: nobody looked for any. */
  readonly findings: readonly Finding[] | null;
  readonly seconds: readonly Second[];
  /** The server was replaced by another version under the open page. */
  readonly isOutdated: boolean;
  /** Since the last look; null before the first. */
  readonly staleMs: number | null;
}

const pollMs = 1_000;
/** Looks come each second, signs of life each quarter of a minute: what is silent for longer is kept back, or dead. */
const silenceMsMax = 4_000;
const backoffMsMin = 1_000;
const backoffMsMax = 15_000;
/** Of a history of many pipelines. */
const eventCharactersMax = 256 * 1024 * 1024;

export class Live {
  readonly #onChange: () => void;
  readonly #history = new History();
  #connection: Connection = { state: "connecting" };
  /** Of the server that was seen first, which the page came from. */
  #version: string | null = null;
  #look: LiveStatus | null = null;
  #lookedAtMs: number | null = null;
  #running: AbortController | null = null;
  /** What became of the stream; null while it runs, or is tried for the first time. */
  #why: string | null = null;
  /** Ends the pause before the stream is tried again. */
  #tryAgain: () => void = () => {};

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get view(): LiveView {
    const { status = null, nodes = null, findings = null } = this.#look ?? {};
    return {
      connection: this.#connection,
      status,
      nodes: nodes?.nodes ?? null,
      findings,
      seconds: this.#history.seconds,
      isOutdated: status !== null && status.deployment.version !== this.#version,
      staleMs: this.#lookedAtMs === null ? null : performance.now() - this.#lookedAtMs,
    };
  }

  /** Again: begins anew, with the key that is kept now. */
  start(): void {
    this.stop();
    this.#why = null;
    this.#running = new AbortController();
    const { signal } = this.#running;
    void this.#keepStreaming(signal);
    void this.#keepPolling(signal);
  }

  stop(): void {
    this.#running?.abort();
    this.#running = null;
  }

  async #keepStreaming(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; failures += 1) {
      const why = await this.#stream(signal, () => {
        failures = -1;
        this.#why = null;
      }).catch((error: unknown) => this.#reasonOf(error));
      this.#why = why;
      const backoffMs = Math.min(backoffMsMax, backoffMsMin * 2 ** Math.max(0, failures));
      const woken = new AbortController();
      this.#tryAgain = () => woken.abort();
      await pause(backoffMs, AbortSignal.any([signal, woken.signal]));
    }
  }

  /** While there is no stream, also while one is tried that may turn out to be silent. */
  async #keepPolling(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#why !== null) await this.#poll(this.#why, signal);
      await pause(pollMs, signal);
    }
  }

  /** What came between; where the server wants another key it is not asked again. */
  #reasonOf(error: unknown): string {
    if (error instanceof Refusal && error.asksForKey) {
      this.stop();
      this.#look = null;
      this.#become({ state: "locked", why: error.message, isRefused: error.status === 403 });
    }
    return messageOf(error);
  }

  /** Returns why it ended. */
  async #stream(signal: AbortSignal, onLook: () => void): Promise<string> {
    const silence = new Silence(silenceMsMax);
    const response = await ask("status/events", {
      signal: AbortSignal.any([signal, silence.signal]),
    });
    const parser = new ServerEventParser(eventCharactersMax);
    const reader = response.body?.getReader();
    if (reader === undefined) return "the stream has no body";
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return "the stream ended";
        // Also what is not whole yet: two minutes of many pipelines may take longer than that on their way.
        silence.broken();
        for (const { type, data } of parser.push(value)) {
          if (type === "history") this.#begin(JSON.parse(data) as LiveHistory);
          if (type !== "status") continue;
          onLook();
          this.#take(JSON.parse(data) as LiveStatus, { state: "streaming" });
        }
      }
    } catch (error) {
      return silence.signal.aborted ? "the stream is silent" : messageOf(error);
    } finally {
      silence.end();
      await reader.cancel().catch(() => {});
    }
  }

  async #poll(why: string, signal: AbortSignal): Promise<void> {
    try {
      const within = AbortSignal.any([signal, AbortSignal.timeout(silenceMsMax)]);
      const status = await askJson<StatusResponse>("status", { signal: within });
      // Meanwhile the stream may have come back.
      if (this.#why === null) return;
      // Where nobody answered before, the stream may well be there again.
      if (this.#connection.state === "away") this.#tryAgain();
      const sample: LiveSample = liveSampleOf(status, Date.now());
      const nodes = this.#look?.nodes ?? null;
      this.#take({ sample, status, nodes }, { state: "polling", why });
    } catch (error) {
      if (signal.aborted) return;
      const reason = this.#reasonOf(error);
      if (!signal.aborted) this.#become({ state: "away", why: reason });
    }
  }

  #begin({ samples }: LiveHistory): void {
    this.#history.restart(samples);
  }

  #take(look: LiveStatus, connection: Connection): void {
    // What another server did, or this one before it was started again, is nobody's to draw.
    if (look.status.uptimeMs < (this.#look?.status.uptimeMs ?? 0)) this.#history.restart([]);
    this.#version ??= look.status.deployment.version;
    this.#look = look;
    this.#lookedAtMs = performance.now();
    this.#history.add(look.sample);
    this.#become(connection);
  }

  #become(connection: Connection): void {
    this.#connection = connection;
    this.#onChange();
  }
}

/** Aborts when nothing broke it for a while. */
class Silence {
  readonly #controller = new AbortController();
  readonly #msMax: number;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(msMax: number) {
    this.#msMax = msMax;
    this.broken();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  broken(): void {
    this.end();
    this.#timer = setTimeout(() => this.#controller.abort(), this.#msMax);
  }

  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}
