/** The commands without a server: who does the work, what is said of it, and that nothing is left behind. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { exitCodes } from "#src/cli/exit-codes.js";
import { writeColourClassifier } from "../support/colour-classifier.js";
import { finish } from "../support/finish.js";
import { answer, answerJson, deployment, serveHttp } from "../support/http-server.js";
import { quarters } from "../support/pictures.js";
import { childrenOf, isRunning } from "../support/processes.js";
import { texts, until } from "../support/real-server.js";
import { millrace } from "../support/serve-process.js";
import { TempDir } from "../support/temp-dir.js";

const { MILLRACE_URL: _url, MILLRACE_CONFIG: _file, ...usual } = process.env;
/** Nobody listens there: it is a port that the system gives to nobody. */
const nobody = { MILLRACE_PORT: "1" };

function start(args: readonly string[], env: NodeJS.ProcessEnv = nobody): ChildProcess {
  return spawn(process.execPath, [millrace, ...args], { env: { ...usual, ...env } });
}

test("a sentence is translated in this process where no server is, on one pipeline, and one line says so", async () => {
  const { out, err, code } = await finish(start(["translate", "Good morning."]));
  assert.match(out, /^\p{Script=Han}.*\n$/u);
  assert.match(
    err,
    /^millrace: no server at http:\/\/127\.0\.0\.1:1: this process does it, with en-zh of .*, on 1 pipeline\n$/,
  );
  assert.equal(code, exitCodes.ok);
});

test("files of both tasks, at once: all cores, results in order, and what is read by machines stays clean", async () => {
  await using dir = await TempDir.make();
  const [from, to, vectors] = ["in.txt", "out.txt", "out.jsonl"].map((name) =>
    join(dir.path, name),
  ) as [string, string, string];
  const lines = texts(48);
  await writeFile(from, `${lines.join("\n")}\n`);
  const [translated, embedded] = await Promise.all([
    finish(start(["translate", "--local", "--datafile", from, "--out", to, "--json-summary"])),
    finish(start(["embed", from, "--out", vectors, "--quiet", "--no-progress"])),
  ]);
  const summary = JSON.parse(translated.err) as {
    total: number;
    failed: number;
    pipelines: object;
  };
  assert.deepEqual([summary.total, summary.failed, translated.code], [48, 0, 0]);
  assert.match(embedded.err, /^total: 48\n/);
  const rows = (await readFile(vectors, "utf8")).trimEnd().split("\n");
  assert.deepEqual(
    rows.map((row) => (JSON.parse(row) as { text: string }).text),
    lines,
  );
  const out = (await readFile(to, "utf8")).trimEnd().split("\n");
  assert.deepEqual([out.length, out[0]], [48, out[24]], "the same sentence again");
});

test("a server that answers where serve would listen does the work; what is not Millrace does not", async () => {
  await using server = await serveHttp((exchange) =>
    exchange.request.url === "/live"
      ? answerJson(exchange, 200, { live: true, deployment })
      : answer(exchange),
  );
  const env = { MILLRACE_PORT: new URL(server.url).port };
  const asked = await finish(start(["translate", "a"], env));
  assert.deepEqual(
    [asked.out, asked.err],
    ["«a»\n", `millrace: the server at ${server.url} does it\n`],
  );
  const named = await finish(start(["translate", "a"], { MILLRACE_URL: server.url }));
  assert.deepEqual(
    [named.out, named.err],
    ["«a»\n", `millrace: the server at ${server.url} does it (MILLRACE_URL)\n`],
  );
  assert.equal((await finish(start(["translate", "a", "--url", server.url]))).err, "");
  await using stranger = await serveHttp(({ response }) => void response.end("hello"));
  const other = { MILLRACE_PORT: new URL(stranger.url).port };
  const alone = await finish(start(["translate", "Good morning."], other));
  assert.match(alone.err, /^millrace: what answers at .* is not Millrace: this process does it/);
});

test("attack: who is there and is not understood is not said to be nobody", async () => {
  const garbled = createServer((socket) => socket.end("SSH-2.0-hello\r\n\r\n"));
  await once(garbled.listen(0, "127.0.0.1"), "listening");
  const { port } = garbled.address() as AddressInfo;
  const child = start(["translate", "--model", "none", "a"], { MILLRACE_PORT: String(port) });
  const { err } = await finish(child);
  garbled.close();
  assert.match(err, /^millrace: whether Millrace is at .* cannot be told, --url says why: this/);
});

test("what cannot be done says what to type", async () => {
  await using dir = await TempDir.make();
  const file = join(dir.path, "in.txt");
  await writeFile(file, "a\n");
  const ends: readonly (readonly [string[], number, RegExp])[] = [
    [
      ["classify", file],
      exitCodes.failed,
      /^model_not_found: .* none to classify\n`millrace models pull ORG\/NAME`/,
    ],
    [
      ["translate", "a", "--models", "none"],
      exitCodes.failed,
      /^model_folder_invalid: .*none does not exist\n/,
    ],
    [
      ["translate", "a", "--url", "http://127.0.0.1:1"],
      exitCodes.unreachable,
      /`millrace serve` starts one\.\n$/,
    ],
    [
      ["translate", "a", "--url", "http://127.0.0.1:1", "--local"],
      exitCodes.usage,
      /^option_invalid: --url and --local contradict/,
    ],
    [
      ["translate", "--durable", "--datafile", file, "--out", `${file}.zh`],
      exitCodes.unreachable,
      /^connection_failed: --durable needs a server.*\nStart one with `millrace serve --data DIR`/,
    ],
    [
      ["translate", "--durable", "--local", "--datafile", file, "--out", `${file}.zh`],
      exitCodes.usage,
      /^option_invalid: --durable needs a server.*--local\n/,
    ],
    [["embed"], exitCodes.usage, /^option_invalid: nothing is named to work on\nName a file/],
    [["embed", "a", "--text", "b"], exitCodes.usage, /^option_invalid: give FILE or --text/],
    [
      ["embed", "none.txt"],
      exitCodes.usage,
      /^option_invalid: FILE: there is no none\.txt\nIf it is a text: --text "none\.txt"\n$/,
    ],
    [
      ["embed", "a b", "--out", `${file}.npy`],
      exitCodes.usage,
      /^option_invalid: --out takes the results of a file/,
    ],
    [["ocr", file, file, "--out", "x.jsonl"], exitCodes.usage, /^option_invalid: --out takes/],
    [["doctor", "http://127.0.0.1:9"], exitCodes.unreachable, /`millrace serve` starts one\.\n$/],
    [
      ["models", "pull", "a/b", "--endpoint", "http://127.0.0.1:9"],
      exitCodes.unreachable,
      /\n--endpoint, or HF_ENDPOINT, names the hub/,
    ],
    [
      ["translate", "a", "--expect-environment", "prod"],
      exitCodes.wrongDeployment,
      /deployment_mismatch: /,
    ],
  ];
  await Promise.all(
    ends.map(async ([args, code, said]) => {
      const ended = await finish(start(args));
      assert.match(ended.err, said);
      assert.deepEqual([ended.code, ended.out], [code, ""], args.join(" "));
    }),
  );
});

test("texts and pictures that stand in the command, without a file of them", async () => {
  await using dir = await TempDir.make();
  const models = join(dir.path, "models");
  writeColourClassifier(join(models, "colours"));
  const shown = join(dir.path, "shown.png");
  await quarters(16, 16).png().toFile(shown);
  const [embedded, word, given, picture, asked] = await Promise.all([
    finish(start(["embed", "Good morning."])),
    finish(start(["embed", "Hello"])),
    finish(start(["embed", "--text", "Hello", "in.txt", "--quiet"])),
    finish(start(["classify", shown, "--models", models, "--top-k", "1", "--quiet"])),
    finish(start(["translate", shown, "none.txt", "Hello"])),
  ]);
  const rowsOf = ({ out }: { readonly out: string }) =>
    out
      .trimEnd()
      .split("\n")
      .map((row) => JSON.parse(row) as { text: string; embedding: number[]; labels: object[] });
  assert.equal(rowsOf(embedded)[0]?.text, "Good morning.");
  assert.match(embedded.err, /^millrace: no server at [^\n]*, on 1 pipeline\n$/);
  assert.match(word.err, /^millrace: there is no file Hello: it is taken as a text\n/);
  assert.deepEqual(
    rowsOf(given).map(({ text }) => text),
    ["Hello", "in.txt"],
  );
  assert.deepEqual(rowsOf(given)[0]?.embedding, rowsOf(word)[0]?.embedding);
  assert.equal(given.err, "");
  assert.equal(rowsOf(picture)[0]?.labels.length, 1);
  assert.equal(picture.err, "");
  // defect: a file that somebody meant was translated as a text, and nothing was said of it.
  const [first, second, ...rest] = asked.err.split("\n");
  assert.equal(
    first,
    `millrace: ${shown} is a file, and is taken as a text: --datafile ${shown} has its lines translated`,
  );
  assert.equal(second, "millrace: there is no file none.txt: it is taken as a text");
  assert.doesNotMatch(rest.join("\n"), /taken as/);
  assert.deepEqual(
    [embedded, word, given, picture, asked].map(({ code }) => code),
    [0, 0, 0, 0, 0],
  );
});

test("Ctrl-C ends a command and its workers, also while it starts", async () => {
  await using dir = await TempDir.make();
  const file = join(dir.path, "in.txt");
  await writeFile(file, `${texts(20_000).join("\n")}\n`);
  const child = start(["translate", "--local", "--datafile", file, "--no-progress"]);
  const ended = finish(child);
  const workers = await until(() => {
    const found = childrenOf(child.pid ?? 0);
    return found.length > 0 && found;
  });
  child.kill("SIGINT");
  assert.equal((await ended).code, exitCodes.interrupted);
  assert.ok(workers.every((pid) => !isRunning(pid)));
});

test("attack: nobody reads what is said beside the results, and they come all the same", async () => {
  await using server = await serveHttp((exchange) => answer(exchange));
  const child = start(["translate", "Good morning."], { MILLRACE_URL: server.url });
  child.stderr?.destroy();
  const out = child.stdout === null ? "" : await text(child.stdout);
  assert.equal(out, "«Good morning.»\n");
  await until(() => child.exitCode !== null);
  assert.equal(child.exitCode, exitCodes.ok);
});

test("attack: a dash alone is standard input, and a text that begins with one is told from a flag", async () => {
  await using server = await serveHttp((exchange) => answer(exchange));
  const child = start(["translate", "-"], { MILLRACE_URL: server.url });
  assert.equal((await finish(child, "Good morning.\n")).out, "«Good morning.»\n");
  const { err, code } = await finish(start(["translate", "-5 degrees outside"]));
  assert.equal(code, exitCodes.usage);
  assert.match(err, /two dashes stand before it: -- "-5 degrees outside"\n$/);
});
