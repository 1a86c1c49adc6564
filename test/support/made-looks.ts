/**
 * A server that shows whatever a test makes up, as a page sees it: the page and all else come from a real one, what it tells of itself is
 * made. So deployments of any size, names of any length and states of any kind can be looked at.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { JobStatus, LiveSample, LiveStatus, ModelInfo } from "millrace-client/wire";
import { liveSampleOf } from "#src/metrics/live-sample.js";
import { type EchoServer, startEcho } from "./echo-server.js";

/** What there is to see at a moment: `at` counts looks from 0. */
export interface MadeLook extends Omit<LiveStatus, "sample"> {
  readonly jobs?: readonly JobStatus[];
  readonly models?: readonly ModelInfo[];
}

export class MadeLooks implements AsyncDisposable {
  /** Events that were written to anybody. */
  written = 0;
  readonly #echo: EchoServer;
  readonly #look: (at: number) => MadeLook;
  readonly #everyMs: number;
  readonly #server = createServer((asked, reply) => this.#answer(asked, reply));
  readonly #streams = new Set<ServerResponse>();
  readonly #timer: NodeJS.Timeout;
  #at = 0;

  private constructor(echo: EchoServer, look: (at: number) => MadeLook, everyMs: number) {
    this.#echo = echo;
    this.#look = look;
    this.#everyMs = everyMs;
    this.#timer = setInterval(() => this.#tell(), everyMs);
  }

  static async start(look: (at: number) => MadeLook, everyMs = 1_000): Promise<MadeLooks> {
    const made = new MadeLooks(await startEcho({}), look, everyMs);
    await new Promise<void>((resolve) => {
      made.#server.listen(0, "127.0.0.1", resolve);
    });
    return made;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  /** Who looks on. */
  get readers(): number {
    return this.#streams.size;
  }

  #tell(): void {
    this.#at += 1;
    if (this.#streams.size === 0) return;
    const { status, nodes, findings = [] } = this.#look(this.#at);
    const look: LiveStatus = { sample: this.#sampleAt(this.#at), status, nodes, findings };
    const text = `event: status\ndata: ${JSON.stringify(look)}\n\n`;
    for (const stream of this.#streams) stream.write(text);
    this.written += 1;
  }

  /** As if a look had been each second, whatever the pace. */
  #sampleAt(at: number): LiveSample {
    return liveSampleOf(this.#look(at).status, 1_700_000_000_000 + at * 1_000);
  }

  #answer(asked: IncomingMessage, reply: ServerResponse): void {
    const path = asked.url?.split("?")[0];
    const look = this.#look(this.#at);
    if (path === "/status/events") return this.#stream(reply);
    if (path === "/status") return answerJson(reply, look.status);
    if (path === "/v1/jobs" && look.jobs !== undefined)
      return answerJson(reply, { jobs: look.jobs.slice(0, 20), next: "more" });
    if (path === "/v1/models" && look.models !== undefined)
      return answerJson(reply, { models: look.models });
    this.#pass(asked, reply);
  }

  #stream(reply: ServerResponse): void {
    reply.writeHead(200, { "content-type": "text/event-stream" });
    const from = Math.max(0, this.#at - 120);
    const samples = Array.from({ length: this.#at - from }, (_, at) => this.#sampleAt(from + at));
    const history = { everyMs: this.#everyMs, samples };
    reply.write(`event: history\ndata: ${JSON.stringify(history)}\n\n`);
    this.#streams.add(reply);
    reply.on("close", () => this.#streams.delete(reply));
  }

  #pass({ method, headers, url = "" }: IncomingMessage, reply: ServerResponse): void {
    const { hostname, port } = new URL(this.#echo.server.url);
    const sent = request({ host: hostname, port, path: url, method, headers }, (got) => {
      reply.writeHead(got.statusCode ?? 502, got.headers);
      got.pipe(reply);
    });
    sent.on("error", () => reply.destroy());
    sent.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    const closed = new Promise((resolve) => {
      this.#server.close(resolve);
    });
    this.#server.closeAllConnections();
    await closed;
    await this.#echo[Symbol.asyncDispose]();
  }
}

function answerJson(reply: ServerResponse, body: object): void {
  reply.writeHead(200, { "content-type": "application/json" });
  reply.end(JSON.stringify(body));
}
