/**
 * A program for any runtime that has `fetch`: it uses the client as its users do and prints what came of it, in JSON. It is given
 * the client's address and the server's, and imports nothing else.
 */
import type * as Client from "millrace-client";

const [clientUrl = "", serverUrl = ""] = process.argv.slice(2);
const { Millrace, MillraceError } = (await import(clientUrl)) as typeof Client;

const texts = ["Good morning.", "See you tomorrow.", "Where is the station?"];

function textOf(outcome: object): string {
  return "text" in outcome ? String(outcome.text) : "error" in outcome ? "failed" : "?";
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "nothing was thrown";
  } catch (error) {
    return error instanceof MillraceError ? error.code : `no error of ours: ${String(error)}`;
  }
}

async function* source(): AsyncGenerator<string> {
  yield* texts;
}

const client = new Millrace(serverUrl);
const translated = (await client.translate(texts)).results.map(textOf);

const streamed: string[] = [];
for await (const item of client.translateStream(texts)) streamed[item.index] = textOf(item);

const each: string[] = [];
for await (const item of client.translateEach(source())) each.push(textOf(item));

const job = await client.jobs.submit(texts, { task: "translate" });
const ended = await client.jobs.wait(job.id);
const rows: string[] = [];
for await (const row of client.jobs.results(job.id)) rows.push(textOf(row));

const socket = new Millrace(serverUrl, { webSocket: true });
const overSocket = (await socket.translate(texts)).results.map(textOf);
socket.close();

const leaving = new AbortController();
const left = codeOf(client.translate(texts, { signal: leaving.signal }));
leaving.abort();
const early: string[] = [];
for await (const item of client.translateStream(texts)) {
  early.push(textOf(item));
  break;
}

const nobody = new Millrace("http://127.0.0.1:1", { retry: { attemptsMax: 1 } });
const codes = {
  unknownModel: await codeOf(client.translate("a", { model: "none" })),
  nobody: await codeOf(nobody.translate("a")),
  left: await left,
};
client.close();
const closed = await codeOf(client.translate("a"));
const outcome = {
  translated,
  streamed,
  each,
  state: ended.state,
  rows,
  overSocket,
  early: early.length,
  codes,
  closed,
};
console.log(JSON.stringify(outcome));
