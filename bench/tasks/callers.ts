/** Sixty-four callers with one text each against one caller with all of them, through the same server. */
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { createServer, type MillraceServer } from "#src/index.js";
import { quantiles } from "../harness/quantiles.js";
import { type Report, ratios } from "../harness/report.js";
import type { MadeModel, TasksSettings } from "./settings.js";

const agent = new Agent({ keepAlive: true });

interface CallersInput {
  readonly server: MillraceServer;
  readonly texts: readonly string[];
  readonly callers: number;
}

/** Texts a second, each caller sending its next text when its last one is answered. */
async function manyCallers({ server, texts, callers }: CallersInput): Promise<number> {
  let next = 0;
  const startedAtMs = performance.now();
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (next < texts.length) {
        const text = texts[next++] ?? "";
        await embed(server, [text]);
      }
    }),
  );
  return (1_000 * texts.length) / (performance.now() - startedAtMs);
}

async function oneCaller({ server, texts }: CallersInput): Promise<number> {
  const startedAtMs = performance.now();
  await embed(server, texts);
  return (1_000 * texts.length) / (performance.now() - startedAtMs);
}

/** Milliseconds of each of `count` requests of one short text, one after the other. */
export async function oneByOne(
  server: MillraceServer,
  { text, model }: { readonly text: string; readonly model?: string },
  count: number,
): Promise<readonly number[]> {
  const times: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const startedAtMs = performance.now();
    await embed(server, [text], model);
    times.push(performance.now() - startedAtMs);
  }
  return times;
}

/** By Node's own client: fetch takes 2 ms of its own for a request, in the server's process. */
async function embed(
  server: MillraceServer,
  texts: readonly string[],
  model?: string,
): Promise<void> {
  const body = JSON.stringify({ texts, model, encoding: "base64" });
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const received = await new Promise<string>((resolve, reject) => {
    const sent = request(
      `${server.url}/v1/embed`,
      { method: "POST", agent, headers },
      (response) => {
        text(response).then(resolve, reject);
      },
    );
    sent.on("error", reject);
    sent.end(body);
  });
  const reply = JSON.parse(received) as {
    readonly results?: readonly { readonly error?: unknown }[];
  };
  const failed = reply.results?.find(({ error }) => error !== undefined);
  if (reply.results?.length === texts.length && failed === undefined) return;
  throw new Error(`an embedding failed: ${JSON.stringify(reply).slice(0, 300)}`);
}

export async function benchCallers(
  report: Report,
  { dir, shape, precision }: MadeModel,
  { texts, singles, rounds, threads }: TasksSettings,
): Promise<void> {
  await using server = await createServer({
    models: dir,
    port: 0,
    pipelines: 1,
    threads,
    logLevel: "silent",
  });
  const input = { server, texts, callers: 64 };
  const [many, one]: [number[], number[]] = [[], []];
  await oneCaller({ ...input, texts: texts.slice(0, 64) });
  for (let round = 0; round < rounds; round += 1) {
    one.push(await oneCaller(input));
    many.push(await manyCallers(input));
  }
  const title = `${shape.name} ${precision}, through HTTP`;
  report.add(`${title}: 64 callers of one text`, many, { unit: "texts/s" });
  report.add(`${title}: one caller of all`, one, { unit: "texts/s" });
  report.add(`${title}: 64 callers / one caller`, ratios(many, one));
  const { p50Ms, p99Ms } = quantiles(
    await oneByOne(server, { text: texts[0]?.slice(0, 60) ?? "" }, singles),
  );
  report.say(
    `${title}: a short text alone, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`,
  );
}
