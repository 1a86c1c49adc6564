/** A real HTTP server for the client's tests: the test decides, exchange by exchange, how badly it behaves. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { DeploymentIdentity, TranslateOutcome } from "millrace-client";
import { hasCode } from "#src/work/thrown.js";

export interface Exchange {
  /** Counts from 0, in the order of arrival. */
  readonly number: number;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** The JSON that was sent; undefined with GET. */
  readonly body: unknown;
  /** The texts of the body, where it has some. */
  readonly texts: readonly string[];
  /** Settles when the response was finished or the caller left. */
  readonly closed: Promise<"finished" | "gone">;
}

export interface TestServer extends AsyncDisposable {
  readonly url: string;
  /** Every exchange so far, with its body read. */
  readonly exchanges: readonly Exchange[];
  /** Settles once exchange `number` has arrived whole. */
  arrived(number: number): Promise<Exchange>;
}

export async function serveHttp(
  handle: (exchange: Exchange) => void | Promise<void>,
): Promise<TestServer> {
  const exchanges: Exchange[] = [];
  const waiting: { number: number; resolve: (exchange: Exchange) => void }[] = [];
  const server = createServer((request, response) => {
    const closed = new Promise<"finished" | "gone">((resolve) => {
      response.on("close", () => resolve(response.writableFinished ? "finished" : "gone"));
    });
    void bytesOf(request).then(async (bytes) => {
      if (bytes === null) return;
      const body = await readBody(request, bytes);
      const number = exchanges.length;
      const exchange = { number, request, response, body, texts: textsOf(body), closed };
      exchanges.push(exchange);
      for (const waiter of waiting) if (waiter.number === number) waiter.resolve(exchange);
      await handle(exchange);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    exchanges,
    arrived(number) {
      const exchange = exchanges[number];
      if (exchange !== undefined) return Promise.resolve(exchange);
      return new Promise((resolve) => {
        waiting.push({ number, resolve });
      });
    },
    async [Symbol.asyncDispose]() {
      const done = once(server, "close");
      // First the listener, so that no client comes back in between.
      server.close();
      server.closeAllConnections();
      await done;
    },
  };
}

export const deployment: DeploymentIdentity = {
  name: "millrace",
  environment: "test",
  version: "0.1.0",
  configHash: "abc123",
  node: "here",
};

export const deploymentHeader: string =
  "name=millrace, environment=test, version=0.1.0, config=abc123, node=here";

export function beginStream(response: ServerResponse): void {
  response.writeHead(200, {
    "content-type": "application/x-ndjson",
    "x-millrace-deployment": deploymentHeader,
    "x-request-id": "request-1",
  });
}

export function item(text: string): TranslateOutcome {
  return { text: `«${text}»`, score: -1, inputTokens: 2, outputTokens: 3, sentences: 1 };
}

export function itemLine(index: number, outcome: TranslateOutcome): string {
  return `${JSON.stringify({ index, ...outcome })}\n`;
}

export function doneLine(items: number): string {
  const done = {
    id: "request-1",
    model: "en-zh",
    class: "realtime",
    timings: { prepareMs: 1, queueMs: 2, computeMs: 3, totalMs: 6 },
    pipelines: { "shared-0": items },
    deployment,
  };
  return `${JSON.stringify({ done })}\n`;
}

/** Answers as a well-behaved server: each text in guillemets. */
export function answer({ response, texts }: Exchange): void {
  beginStream(response);
  for (const [index, text] of texts.entries()) response.write(itemLine(index, item(text)));
  response.end(doneLine(texts.length));
}

export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly retryAfter?: string;
  readonly param?: string;
}

export function refuse({ response }: Exchange, refusal: Refusal): void {
  const { status, code, retryAfter, param } = refusal;
  response.writeHead(status, {
    "content-type": "application/json",
    "x-millrace-deployment": deploymentHeader,
    ...(retryAfter === undefined ? {} : { "retry-after": retryAfter }),
  });
  const error = { code, message: `refused with ${code}`, retryable: false, param };
  response.end(JSON.stringify({ error, id: "request-1", deployment }));
}

export function answerJson({ response }: Exchange, status: number, body: unknown): void {
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "x-millrace-deployment": deploymentHeader,
  });
  response.end(JSON.stringify(body));
}

/** Null: the caller left in the midst, as one does that is killed. */
async function bytesOf(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch (error) {
    if (hasCode(error, "ECONNRESET")) return null;
    throw error;
  }
  return Buffer.concat(chunks);
}

async function readBody(request: IncomingMessage, bytes: Buffer): Promise<unknown> {
  const type = request.headers["content-type"] ?? "";
  if (type.startsWith("multipart/form-data")) return await readForm(bytes, type);
  const text = bytes.toString("utf8");
  return text === "" ? undefined : (JSON.parse(text) as unknown);
}

/** As the same request would be in JSON: files in base64, in a list of the name that their parts have. */
async function readForm(bytes: Uint8Array, type: string): Promise<unknown> {
  const form = await new Response(bytes, { headers: { "content-type": type } }).formData();
  const body: Record<string, string | string[]> = {};
  for (const [name, value] of form) {
    if (typeof value === "string") {
      body[name] = value;
      continue;
    }
    const list = body[name] ?? [];
    const file = Buffer.from(await value.arrayBuffer()).toString("base64");
    body[name] = [...(Array.isArray(list) ? list : []), file];
  }
  return body;
}

function textsOf(body: unknown): readonly string[] {
  if (typeof body !== "object" || body === null || !("texts" in body)) return [];
  return Array.isArray(body.texts) ? body.texts.map(String) : [];
}
