/** A server with the bundled model and real worker processes, and what tests ask of it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type {
  ReadyResponse,
  StatusResponse,
  TranslateLine,
  TranslateOutcome,
  TranslateRequest,
  TranslateResponse,
} from "millrace-client/wire";
import { type CreateServerOptions, createServer, type MillraceServer } from "#src/index.js";
import { until } from "./until.js";

export { until };

const root = new URL("../../../", import.meta.url);
/** The folder that holds `en-zh`. */
export const bundledModels: string = fileURLToPath(new URL("models", root));

/** The bundled translation model alone, without the second model of its folder. */
export async function copyTranslator(to: string): Promise<void> {
  const filter = (path: string): boolean => !path.endsWith("millrace.embeddings.json");
  await cp(join(bundledModels, "en-zh"), to, { recursive: true, filter });
}

/** Some that the bundled model was calibrated on: all different, from two words to long ones. */
export const sentences: readonly string[] = readFileSync(
  new URL("models/calibration.en.txt", root),
  "utf8",
)
  .trimEnd()
  .split("\n")
  .slice(-24);

/** So many texts, the sentences again and again. */
export function texts(count: number): string[] {
  return Array.from({ length: count }, (_, index) => sentences[index % sentences.length] ?? "");
}

/** Two workers of one thread each, on the bundled model, in silence. */
export function startReal(options: CreateServerOptions = {}): Promise<MillraceServer> {
  return createServer({
    models: bundledModels,
    port: 0,
    pipelines: 2,
    threads: 1,
    logLevel: "silent",
    restartBackoffMs: 10,
    ...options,
  });
}

/** One worker of one thread on models of the test's own, in silence; it has started when this resolves. */
export async function startReady(options: CreateServerOptions): Promise<MillraceServer> {
  const server = await startReal({ pipelines: 1, ...options });
  await until(() => server.views.status().pipelines.every(({ state }) => state === "ready"));
  return server;
}

export interface PostOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export function post(
  url: string,
  request: TranslateRequest,
  options: PostOptions = {},
): Promise<Response> {
  return postJson(`${url}/v1/translate`, request, options);
}

/** A text goes as it is. */
export function postJson(
  url: string,
  body: unknown,
  { headers = {}, signal }: PostOptions = {},
): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
}

export async function translate(
  url: string,
  request: TranslateRequest,
): Promise<TranslateResponse> {
  const response = await post(url, request);
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as TranslateResponse;
}

/** As NDJSON, so that an item with two outcomes would show; fails unless each of `count` items has exactly one. */
export async function translateInLines(
  url: string,
  request: TranslateRequest,
  count: number,
): Promise<string[]> {
  const response = await post(url, request, { headers: { accept: "application/x-ndjson" } });
  assert.equal(response.status, 200);
  const lines = (await response.text())
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as TranslateLine);
  assert.ok("done" in (lines.pop() ?? {}), "the last line says that all is done");
  const outcomes = Array.from({ length: count }, (): string | null => null);
  for (const line of lines) {
    assert.ok("index" in line && line.index !== undefined, JSON.stringify(line));
    assert.equal(outcomes[line.index], null, `item ${line.index} has one outcome only`);
    outcomes[line.index] = outcomeOf(line);
  }
  return outcomes.map((outcome, index) => outcome ?? assert.fail(`item ${index} has no outcome`));
}

/** The text, or the code of the error. */
export function outcomeOf(item: TranslateOutcome): string {
  return "error" in item ? item.error.code : item.text;
}

/** What each sentence becomes when it is alone in the server: results do not depend on the company. */
export async function translateAlone(url: string): Promise<ReadonlyMap<string, string>> {
  const alone = new Map<string, string>();
  for (const text of sentences) {
    const { results } = await translate(url, { texts: [text] });
    alone.set(text, results.map(outcomeOf).join());
  }
  return alone;
}

/** The same from a server of its own: what a test under load compares with. */
export async function translatedAlone(): Promise<ReadonlyMap<string, string>> {
  await using server = await startReal({ pipelines: 1 });
  return await translateAlone(server.url);
}

export async function getStatus(url: string): Promise<StatusResponse> {
  return (await (await fetch(`${url}/status`)).json()) as StatusResponse;
}

export async function getReady(
  url: string,
): Promise<{ readonly status: number; readonly body: ReadyResponse }> {
  const response = await fetch(`${url}/ready`);
  return { status: response.status, body: (await response.json()) as ReadyResponse };
}

/** Nothing runs and nothing waits, and each item that was ever accepted ended once. */
export function assertIdle(status: StatusResponse): void {
  assert.equal(status.requests.active, 0, "active requests");
  assert.equal(status.process.queuedBytes, 0, "queued bytes");
  assert.deepEqual(
    status.queues.map(({ items }) => items),
    status.queues.map(() => 0),
    "queues",
  );
  assert.deepEqual(
    status.pipelines.map(({ items }) => items.inFlight),
    status.pipelines.map(() => 0),
    "in flight",
  );
  const { accepted, done, failed, cancelled } = status.items;
  assert.equal(done + failed + cancelled, accepted, "each item ended once");
}

export function pidsOf(status: StatusResponse): number[] {
  return status.pipelines.flatMap(({ pid }) => (pid === null ? [] : [pid]));
}
