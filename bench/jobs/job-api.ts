/** The routes of durable jobs as the benchmark asks them: on connections that may break at any moment. */
import { createHash } from "node:crypto";
import { Agent, type IncomingMessage, request } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { JobReply, JobStatus, JobsReply } from "millrace-client/wire";

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as they are read. */
  readonly body?: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  /** Hears when the last byte was handed to the system. */
  readonly onSent?: () => void;
}

export interface JobInput {
  readonly fields: object;
  readonly lines: Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  readonly requestKey?: string;
  readonly onSent?: () => void;
}

/** Every line of a job's results, as far as they were there. */
export interface ReadResults {
  readonly lines: number;
  /** The first line that did not follow the one before it; null: none. */
  readonly outOfOrder: number | null;
  readonly failed: number;
  /** Of the bytes. */
  readonly hash: string;
}

const lookMs = 20;

export class JobApi implements Disposable {
  readonly url: string;
  readonly #agent = new Agent({ keepAlive: true });

  constructor(url: string) {
    this.url = url;
  }

  /** @throws where it is refused, or the connection breaks */
  async create({ fields, lines, requestKey, onSent }: JobInput): Promise<JobStatus> {
    const reply = await this.#json<JobReply>("/v1/jobs", {
      method: "POST",
      headers: {
        "content-type": "application/x-ndjson",
        ...(requestKey === undefined ? {} : { "idempotency-key": requestKey }),
      },
      body: withHead(fields, lines),
      ...(onSent === undefined ? {} : { onSent }),
    });
    return reply.job;
  }

  async createOfTexts(fields: object, texts: readonly string[]): Promise<JobStatus> {
    const body = Buffer.from(JSON.stringify({ ...fields, texts }));
    const headers = {
      "content-type": "application/json",
      "content-length": String(body.length),
    };
    return (await this.#json<JobReply>("/v1/jobs", { method: "POST", headers, body: [body] })).job;
  }

  async status(id: string): Promise<JobStatus> {
    return (await this.#json<JobReply>(`/v1/jobs/${id}`)).job;
  }

  async list(): Promise<readonly JobStatus[]> {
    return (await this.#json<JobsReply>("/v1/jobs")).jobs;
  }

  /** Cancels one that runs, removes one that has ended. */
  async delete(id: string): Promise<void> {
    await this.#json(`/v1/jobs/${id}`, { method: "DELETE" });
  }

  async cancelAndRemove(id: string): Promise<void> {
    if (!hasJobEnded(await this.status(id))) {
      await this.delete(id);
      await this.ended(id);
    }
    await this.delete(id);
  }

  async ended(id: string): Promise<JobStatus> {
    return await this.when(id, hasJobEnded);
  }

  async when(id: string, holds: (status: JobStatus) => boolean): Promise<JobStatus> {
    for (;;) {
      const status = await this.status(id);
      if (holds(status)) return status;
      if (hasJobEnded(status)) throw new Error(`the job ended: ${JSON.stringify(status)}`);
      await delay(lookMs);
    }
  }

  /** Read as they come and not kept. `onLine` hears each of them. */
  async readResults(id: string, onLine: (line: string) => void = () => {}): Promise<ReadResults> {
    const response = await this.ask(`/v1/jobs/${id}/results`);
    const hash = createHash("sha256");
    let [lines, failed, rest] = [0, 0, ""];
    let outOfOrder: number | null = null;
    for await (const chunk of response.setEncoding("utf8")) {
      const parts = (rest + String(chunk)).split("\n");
      rest = parts.pop() ?? "";
      for (const text of parts.filter((each) => each !== "")) {
        const { line, error } = JSON.parse(text) as {
          readonly line?: number;
          readonly error?: object;
        };
        if (line === undefined) throw new Error(`no line of results: ${text}`);
        if (line !== lines) outOfOrder ??= line;
        if (error !== undefined) failed += 1;
        lines += 1;
        hash.update(`${text}\n`);
        onLine(text);
      }
    }
    if (rest !== "") throw new Error(`the results end within a line: ${rest.slice(0, 200)}`);
    return { lines, outOfOrder, failed, hash: hash.digest("hex").slice(0, 16) };
  }

  async ask(
    path: string,
    { method = "GET", headers = {}, body, onSent }: Asked = {},
  ): Promise<IncomingMessage> {
    const sent = request(new URL(path, this.url), { method, agent: this.#agent, headers });
    const replied = new Promise<IncomingMessage>((resolve, reject) => {
      sent.on("response", resolve).on("error", reject);
    });
    replied.catch(() => {});
    if (body === undefined) sent.end();
    else {
      // One that is answered before it was read to its end is answered all the same.
      await pipeline(Readable.from(body), sent).catch(() => {});
    }
    onSent?.();
    return await replied;
  }

  async #json<Reply>(path: string, asked: Asked = {}): Promise<Reply> {
    const response = await this.ask(path, asked);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return JSON.parse(text) as Reply;
    throw new Error(`${asked.method ?? "GET"} ${path}: ${status}: ${text.slice(0, 500)}`);
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}

export function hasJobEnded({ state }: JobStatus): boolean {
  return ["completed", "failed", "cancelled", "expired"].includes(state);
}

export function doneOf({ succeeded, failed }: JobStatus): number {
  return succeeded + failed;
}

async function* withHead(fields: object, lines: JobInput["lines"]): AsyncGenerator<Uint8Array> {
  yield Buffer.from(`${JSON.stringify(fields)}\n`);
  yield* lines;
}
