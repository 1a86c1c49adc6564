/** The one table of protocols that the benchmark speaks: a new one is a line here. */
import { bertDriver } from "./drivers/bert-driver.js";
import { grpcDriver } from "./drivers/grpc-driver.js";
import { httpDriver } from "./drivers/http-driver.js";
import { webSocketDriver } from "./drivers/web-socket-driver.js";

export interface DriverTarget {
  /** Of the HTTP listener. */
  readonly url: string;
  /** Of the others, by the option that opens them. */
  readonly ports: Readonly<Record<string, number>>;
  readonly model: string;
  readonly callers: number;
}

export interface Driver extends AsyncDisposable {
  /** How many texts one request takes. */
  readonly textsMax: number;
  /** Resolves to the number of vectors that came; each caller has a connection of its own where the protocol's clients have one. */
  send(caller: number, texts: readonly string[]): Promise<number>;
}

interface DriverKind {
  readonly name: string;
  readonly open: (target: DriverTarget) => Promise<Driver>;
}

export const drivers: readonly DriverKind[] = [
  {
    name: "HTTP",
    open: httpDriver({
      path: () => "/v1/embed",
      body: (texts, model) => ({ texts, model, encoding: "base64" }),
      count: (reply) => countOf(fieldOf(reply, "results"), "embedding"),
      textsMax: 1_024,
    }),
  },
  {
    name: "OpenAI",
    open: httpDriver({
      path: () => "/v1/embeddings",
      body: (input, model) => ({ input, model, encoding_format: "base64" }),
      count: (reply) => countOf(fieldOf(reply, "data"), "embedding"),
      textsMax: 1_024,
    }),
  },
  {
    name: "v2 over HTTP",
    open: httpDriver({
      path: (model) => `/v2/models/${model}/infer`,
      body: (data) => ({
        inputs: [{ name: "text", datatype: "BYTES", shape: [data.length], data }],
      }),
      count: (reply) => {
        const [output] = fieldOf(reply, "outputs") as readonly {
          readonly shape: readonly number[];
        }[];
        return output?.shape[0] ?? 0;
      },
      textsMax: 512,
    }),
  },
  {
    name: "text-embeddings-inference",
    open: httpDriver({
      path: () => "/embed",
      body: (inputs) => ({ inputs }),
      count: lengthOf,
      textsMax: 1_024,
    }),
  },
  {
    name: "Hugging Face",
    open: httpDriver({
      path: (model) => `/models/${model}`,
      body: (inputs) => ({ inputs }),
      count: lengthOf,
      textsMax: 1_024,
    }),
  },
  {
    name: "bert over HTTP",
    open: httpDriver({
      path: () => "/encode",
      body: (texts) => ({ id: 1, texts, is_tokenized: false }),
      count: (reply) => lengthOf(fieldOf(reply, "result")),
      textsMax: 1_024,
    }),
  },
  { name: "WebSocket", open: webSocketDriver },
  { name: "gRPC", open: grpcDriver },
  { name: "bert over ZeroMQ", open: bertDriver },
];

function fieldOf(reply: unknown, field: string): unknown {
  return (reply as Readonly<Record<string, unknown>>)[field];
}

function lengthOf(list: unknown): number {
  return (list as readonly unknown[]).length;
}

function countOf(list: unknown, field: string): number {
  return (list as readonly object[]).filter((each) => field in each).length;
}
