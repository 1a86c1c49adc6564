import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { exitCodes } from "#src/cli/exit-codes.js";
import { finish } from "../support/finish.js";
import {
  answer,
  answerJson,
  beginStream,
  deployment,
  doneLine,
  item,
  itemLine,
  serveHttp,
} from "../support/http-server.js";
import { TempDir } from "../support/temp-dir.js";

const main = fileURLToPath(import.meta.resolve("#src/cli/main.js"));

function start(args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [main, ...args], { stdio: ["pipe", "pipe", "pipe"] });
}

test("translate reads arguments and stdin, and keeps order and empty lines", async () => {
  await using server = await serveHttp(answer);
  const url = ["--url", server.url];
  assert.equal((await finish(start(["translate", "a", "b", ...url]))).out, "«a»\n«b»\n");
  const piped = await finish(start(["translate", "--request-texts", "1", ...url]), "a\r\n\nb\n");
  assert.deepEqual([piped.out, piped.code, piped.err], ["«a»\n\n«b»\n", 0, ""]);
});

test("--batch-size is a former name of --request-texts: it answers, and a warning says so", async () => {
  await using server = await serveHttp(answer);
  const args = ["translate", "a", "b", "--batch-size", "1", "--url", server.url];
  const { out, err, code } = await finish(start(args));
  assert.deepEqual([out, code, server.exchanges.length], ["«a»\n«b»\n", exitCodes.ok, 2]);
  assert.match(err, /^warning: --batch-size is now --request-texts; .*\n$/);
  const both = await finish(start([...args, "--request-texts", "2"]));
  assert.equal(both.code, exitCodes.usage);
  assert.match(both.err, /^option_invalid: --batch-size and --request-texts contradict/);
  const help = await finish(start(["translate", "--help"]));
  assert.match(help.out, /--request-texts/);
  assert.doesNotMatch(help.out, /--batch-size/);
});

test("translate of a file writes it whole, and says what the seeds' client said", async () => {
  await using server = await serveHttp(answer);
  await using dir = await TempDir.make();
  const [from, to] = [join(dir.path, "in.txt"), join(dir.path, "out.txt")];
  const lines = Array.from({ length: 300 }, (_, index) => `line ${index}`);
  await writeFile(from, lines.join("\n"));
  const args = [
    "translate",
    "--datafile",
    from,
    "--out",
    to,
    "--request-texts",
    "128",
    "--url",
    server.url,
  ];
  const { out, err, code } = await finish(start(args));
  assert.deepEqual([out, code], ["", 0]);
  assert.equal(await readFile(to, "utf8"), lines.map((line) => `«${line}»\n`).join(""));
  assert.match(err, /^total: 300\nrequests: 3\nitems per pipeline: shared-0: 300\ntime in all: /);
  for (const { body } of server.exchanges)
    assert.ok(JSON.stringify(body).includes('"class":"bulk"'));
  assert.deepEqual((await readdir(dir.path)).toSorted(), ["in.txt", "out.txt"]);
});

test("an item that fails is named with its line, and the exit code says so", async () => {
  await using server = await serveHttp(({ response }) => {
    beginStream(response);
    const error = { code: "item_failed", message: "no", retryable: false } as const;
    response.end(itemLine(0, item("a")) + itemLine(1, { error }) + doneLine(2));
  });
  const { out, err, code } = await finish(start(["translate", "a", "b", "--url", server.url]));
  assert.deepEqual(
    [out, err, code],
    ["«a»\n\n", "item_failed: line 2: no\n", exitCodes.itemsFailed],
  );
});

test("Ctrl-C aborts the request and leaves no file behind", async () => {
  await using server = await serveHttp(({ response }) => {
    beginStream(response);
    response.flushHeaders();
  });
  await using dir = await TempDir.make();
  const child = start(["translate", "a", "--out", join(dir.path, "out"), "--url", server.url]);
  const { closed } = await server.arrived(0);
  child.kill("SIGINT");
  const { err, code } = await finish(child);
  assert.deepEqual([err, code, await closed], ["", exitCodes.interrupted, "gone"]);
  assert.deepEqual(await readdir(dir.path), []);
});

test("status names a pipeline that is not ready with its reason, and its exit code says so", async () => {
  const status = {
    deployment,
    state: "not-ready",
    uptimeMs: 5000,
    policy: "millrace",
    pipelines: [
      {
        pipelineId: "shared-0",
        kind: "shared",
        state: "backing-off",
        reason: "no such model",
        items: { inFlight: 0, done: 0, failed: 0 },
        memoryBytes: 0,
        cacheBytes: 0,
        doing: null,
      },
    ],
    models: [],
    queues: [],
    batches: { byReason: { full: 3 }, recent: [] },
    stages: [],
    requests: { active: 0, finished: 0, refused: 0, cancelled: 0 },
    items: { done: 0, failed: 0, retried: 0, cancelled: 0 },
    waits: { realtime: { count: 1, p50Ms: 1, p99Ms: 2 } },
  };
  await using server = await serveHttp((exchange) => answerJson(exchange, 200, status));
  const { out, code } = await finish(start(["status", "--url", server.url]));
  assert.match(out, /shared-0 +shared +backing-off .* no such model/);
  assert.match(out, /batches by reason: full 3/);
  assert.equal(code, exitCodes.unreachable);
  const watch = start(["status", "--watch", "--json", "--interval-ms", "10", "--url", server.url]);
  await server.arrived(3);
  watch.kill("SIGINT");
  const watched = await finish(watch);
  assert.deepEqual([watched.code, watched.err], [exitCodes.interrupted, ""]);
  assert.ok(watched.out.split("\n").length > 2);
});

test("a server that is not there has an exit code of its own", async () => {
  const { err, code } = await finish(start(["status", "--url", "http://127.0.0.1:1"]));
  assert.equal(code, exitCodes.unreachable);
  assert.match(
    err,
    /^connection_failed: .*\nCheck the address, and that the server runs: `millrace serve` starts one\.\n$/,
  );
});

test("a reader that leaves early ends the command quietly", async () => {
  await using server = await serveHttp(answer);
  const child = start(["translate", "a", "--url", server.url]);
  child.stdout?.destroy();
  assert.ok(child.stdin !== null && child.stderr !== null);
  child.stdin.end();
  const [err, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
  assert.deepEqual([err, code], ["", 0]);
});

test("config: each value with its source, the machine, and the models' own settings", async () => {
  const { out, err, code } = await finish(
    start(["config", "--threads", "3", "--batch-pipelines", "1", "--realtime-pipelines", "1"]),
  );
  assert.equal(code, exitCodes.ok);
  assert.match(out, /^threads +3 +--threads$/m);
  assert.match(out, /^bulkPipelines +1 +--bulk-pipelines$/m);
  assert.match(out, /^port +8400 +default$/m);
  assert.match(out, /^cores: \d+ \((the machine's processors|a quota of .*)\)$/m);
  assert.match(out, /^memory: [\d.]+ GiB \(.*\)$/m);
  assert.match(out, /^rowsMax +see below +default$/m);
  assert.match(
    out,
    /^model en-zh: beams 4, maxLength 128, lengthPenalty 1 \(its own; .*; 64 rows at once$/m,
  );
  assert.match(err, /^warning: --batch-pipelines is now --bulk-pipelines; /m);
  await using dir = await TempDir.make();
  const json = await finish(start(["config", "--json", "--models", dir.path]));
  const body = JSON.parse(json.out) as Record<string, Record<string, unknown>>;
  assert.ok(Number(body["machine"]?.["cores"]) >= 1);
  assert.deepEqual(body["models"], []);
  const missing = join(dir.path, "none");
  const none = await finish(start(["config", "--models", missing]));
  assert.deepEqual(
    [none.code, none.out.includes(`model folder ${missing}: `)],
    [exitCodes.ok, true],
  );
});

test("a full disk behind standard output, and a folder as --out, are errors in one line", async () => {
  await using server = await serveHttp(answer);
  const full = openSync("/dev/full", "w");
  const args = [main, "translate", "a", "--url", server.url];
  const child = spawn(process.execPath, args, { stdio: ["ignore", full, "pipe"] });
  closeSync(full);
  assert.ok(child.stderr !== null);
  const [err, [code]] = await Promise.all([text(child.stderr), once(child, "close")]);
  assert.match(err, /^option_invalid: standard output cannot be written to \(ENOSPC\)\n$/);
  assert.equal(code, exitCodes.failed);
  await using dir = await TempDir.make();
  const out = await finish(start(["translate", "a", "--out", dir.path, "--url", server.url]));
  assert.equal(out.code, exitCodes.usage);
  assert.match(out.err, /^option_invalid: --out: cannot use .*: it is a folder\n/);
  assert.equal(server.exchanges.length, 1);
});

test("the client's example runs", async () => {
  await using server = await serveHttp(answer);
  const example = fileURLToPath(new URL("../../examples/client.js", import.meta.url));
  const env = { ...process.env, MILLRACE_URL: server.url };
  const { out, code } = await finish(spawn(process.execPath, [example], { env }));
  assert.equal(code, 0);
  assert.match(
    out,
    /^«Good morning.»\n«See you tomorrow.»\n6.0 ms in all, 2.0 of them waiting\n0 «One.»/,
  );
});

test("defect: who named no address was not told which one could not be reached; nodes of a server for itself told routes", async () => {
  const away = await serveHttp(answer);
  await away[Symbol.asyncDispose]();
  const lost = await finish(start(["status", "--url", away.url]));
  assert.equal(lost.code, exitCodes.unreachable);
  assert.ok(lost.err.startsWith(`connection_failed: The connection to ${away.url} failed: `));
  await using server = await serveHttp((exchange) => {
    const error = { code: "not_found", message: "There is no route.", retryable: false };
    answerJson(exchange, 404, { error });
  });
  const { err, code } = await finish(start(["nodes", "--url", server.url]));
  assert.match(err, /^not_found: this address tells of no nodes: .*--nats/);
  assert.equal(code, exitCodes.failed);
});
