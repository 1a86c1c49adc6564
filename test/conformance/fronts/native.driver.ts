/** Millrace's own protocol, as one JSON reply and as lines: the route that all others are compared with. */
import assert from "node:assert/strict";
import type { ErrorResponse } from "millrace-client/wire";
import { type HttpAnswer, HttpConnection } from "../../support/http-connection.js";
import { overHttp } from "./cells.js";
import {
  type AskOptions,
  type Cells,
  type FrontClient,
  type FrontDriver,
  modelOf,
  type Outcome,
  Refused,
} from "./driver.js";
import { readNative } from "./world.js";

type Form = "json" | "lines";

const client = "node:http";
const shared: Cells = {
  ...overHttp,
  numbers: { how: "the shortest decimal number that reads back as the same float32" },
  order: { how: "`results` has one entry for each input, in their order" },
  badInput: {
    how: 'its entry of `results` is `{"error": …}`',
    fails: "alone",
    says: "item_failed",
  },
  tooLong: {
    how: 'its entry of `results` is `{"error": …}`',
    fails: "alone",
    says: "input_too_long",
  },
  unknownModel: { how: "`404`, code `model_not_found`", says: "404 model_not_found" },
  malformed: { how: "`400`, code `bad_request`; the connection stays", says: "400 bad_request" },
  queueFull: { how: "`429`, code `queue_full`, with `Retry-After`", says: "429 queue_full" },
  deadline: {
    how: '`timeoutMs` of the request; the entry of each input that was too late is `{"error": …}`',
    by: "caller",
    fails: "alone",
    says: "deadline_exceeded",
  },
  notReady: { how: "`503`, code `not_ready`, with `Retry-After`", says: "503 not_ready" },
  draining: { how: "`503`, code `draining`, with `Retry-After`", says: "503 draining" },
  unauthenticated: { how: "`401`, code `unauthenticated`", says: "401 unauthenticated" },
};

export const nativeJson: FrontDriver<"embed"> = {
  title: "Native HTTP, JSON",
  client,
  task: "embed",
  cells: shared,
  open: (server, { key }) =>
    Promise.resolve(new NativeClient("embed", server.url, { key, form: "json" })),
};

const line = 'its line is `{"index", "error": …}`';
export const nativeLines: FrontDriver<"translate"> = {
  title: "Native HTTP, NDJSON",
  client,
  task: "translate",
  cells: {
    ...shared,
    order: { how: "lines come as they are ready, and each has its `index`" },
    badInput: { how: line, fails: "alone", says: "item_failed" },
    tooLong: { how: line, fails: "alone", says: "input_too_long" },
    deadline: {
      how: `\`timeoutMs\` of the request; of an input that was too late ${line}`,
      by: "caller",
      fails: "alone",
      says: "deadline_exceeded",
    },
  },
  open: (server, { key }) =>
    Promise.resolve(new NativeClient("translate", server.url, { key, form: "lines" })),
};

class NativeClient<Task extends "embed" | "translate"> implements FrontClient<Task> {
  readonly #task: Task;
  readonly #connection: HttpConnection;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #form: Form;

  constructor(
    task: Task,
    url: string,
    { key, form }: { readonly key: string | null; readonly form: Form },
  ) {
    this.#task = task;
    this.#connection = new HttpConnection(url);
    this.#form = form;
    this.#headers = {
      "content-type": "application/json",
      ...(form === "lines" ? { accept: "application/x-ndjson" } : {}),
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
    };
  }

  async ask(
    texts: readonly string[],
    { model = modelOf[this.#task], timeoutMs, leave }: AskOptions = {},
  ): Promise<readonly Outcome<Task>[]> {
    const body = { model, texts, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
    const answer = await this.#send(JSON.stringify(body), leave);
    const text = answer.body.toString();
    const reply: unknown = this.#form === "json" ? JSON.parse(text) : inOrder(text, texts.length);
    return readNative(this.#task, reply);
  }

  malformed(): Promise<unknown> {
    return this.#send('{"texts": [');
  }

  async #send(body: string, signal?: AbortSignal): Promise<HttpAnswer> {
    const headers = this.#headers;
    const answer = await this.#connection.send(`/v1/${this.#task}`, { headers, body, signal });
    if (answer.status === 200) return answer;
    const { error } = JSON.parse(answer.body.toString()) as ErrorResponse;
    throw new Refused(`${answer.status} ${error.code}`, error.message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection[Symbol.dispose]();
    await Promise.resolve();
  }
}

/** The lines as if they had come together. */
function inOrder(text: string, count: number): { readonly results: readonly unknown[] } {
  const lines = text
    .split("\n")
    .filter((each) => each !== "")
    .map((each) => JSON.parse(each) as Readonly<Record<string, unknown>>);
  assert.ok("done" in (lines.pop() ?? {}), "the last line says that all is done");
  const results: unknown[] = [];
  for (const { index, ...result } of lines) {
    assert.ok(typeof index === "number" && !(index in results), "one line for each");
    results[index] = result;
  }
  assert.equal(Object.keys(results).length, count);
  return { results };
}
