/** The examples and the README's snippets, run as they stand there, with the bundled model. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createServer, type MillraceServer } from "#src/index.js";
import { finish } from "../support/finish.js";
import { TempDir } from "../support/temp-dir.js";

const limit = { timeout: 120_000 };
/** The bundled models, on one pipeline, and durable jobs: for the examples that ask a server. */
let server: MillraceServer;
let dir: TempDir;

before(async () => {
  dir = await TempDir.make();
  const data = dir.file("data");
  server = await createServer({ port: 0, pipelines: 1, logLevel: "silent", data });
});

after(async () => {
  await server.close();
  await dir[Symbol.asyncDispose]();
});

const chinese = /\p{Script=Han}{2}/u;

function example(name: string): string {
  return fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));
}

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess {
  return spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** The program below `<!-- name -->` in the README. */
function snippet(name: string): string {
  const [, program] =
    new RegExp(`<!-- ${name} -->\\s*\`\`\`ts\\n(.*?)\`\`\``, "s").exec(
      readFileSync("README.md", "utf8"),
    ) ?? [];
  assert.ok(program !== undefined, `the README has no ${name}`);
  return program;
}

test("embedded.ts: a server in one's own process", limit, async () => {
  const { out, err, code } = await finish(start([example("embedded.js")]));
  assert.deepEqual([err, code], ["", 0]);
  assert.match(out, chinese);
});

test("client.ts and the README's client, against one server", limit, async () => {
  const { out, err, code } = await finish(
    start([example("client.js")], { MILLRACE_URL: server.url }),
  );
  assert.deepEqual([err, code], ["", 0]);
  assert.match(out, chinese);

  const program = snippet("client");
  assert.ok(program.includes("http://127.0.0.1:8400"));
  const here = program.replace("http://127.0.0.1:8400", server.url);
  const run = await finish(start(["--input-type=module", "-e", here]));
  assert.deepEqual([run.err, run.code], ["", 0]);
  assert.match(run.out, /\p{Script=Han}.*\n.*\p{Script=Han}.*\n[\d.]+ of [\d.]+ ms waiting\n$/u);
});

test("search.ts: what means the same comes first", limit, async () => {
  const search = (...args: string[]) =>
    finish(start([example("search.js"), ...args], { MILLRACE_URL: server.url }));
  const tea = await search();
  assert.deepEqual([tea.err, tea.code], ["", 0]);
  assert.match(tea.out, /^0\.\d{3} Several people are sitting around a table and drinking tea\.\n/);
  assert.equal(tea.out.trimEnd().split("\n").length, 5);
  const cat = await search("A dog is sleeping.", "examples/sentences.en.txt");
  assert.match(cat.out, /^0\.\d{3} There is a black cat sleeping on the roof of the car\.\n/);
});

test("jobs.ts: submitted, watched, fetched from a line on, removed", limit, async () => {
  const { out, err, code } = await finish(
    start([example("jobs.js")], { MILLRACE_URL: server.url }),
  );
  assert.deepEqual([err, code], ["", 0]);
  assert.match(out, /^12 lines\ndone: 12, failed: 0\n10 .*\p{Script=Han}.*\n11 .*\nremoved\n$/u);
});

test("tensors.ts: a graph as it is", limit, async () => {
  const { out, err, code } = await finish(start([example("tensors.js")]));
  assert.deepEqual([err, code], ["", 0]);
  assert.match(out, /^in {3}ids INT32 \[-1\]\n/);
  assert.match(out, /^out {2}pooled FP32 \[1, 256\] (-?0\.\d+, ){3}-?0\.\d+ …$/m);
  assert.match(out, /^out {2}tokens FP32 \[4, 256\] /m);
});

test("the README's server", limit, async () => {
  const program = snippet("embedded").replace("port: 0", 'port: 0, logLevel: "silent"');
  const { out, err, code } = await finish(start(["--input-type=module", "-e", program]));
  assert.deepEqual([err, code], ["", 0]);
  assert.match(out, /^http:\/\/127\.0\.0\.1:\d+\n$/);
});

test("the demo, small: both languages, every table, and an end", limit, async () => {
  const { out, err, code } = await finish(start([example("demo.js"), "--items", "20"]));
  assert.deepEqual([err, code], ["", 0]);
  assert.match(out, /robot: 20 of 20/);
  assert.match(out, /Good morning!.*\p{Script=Han}/u);
  for (const row of [
    / {2}robot +bulk +20 +1 /,
    / {2}realtime +12 /,
    / {2}bulk +20 /,
    / {2}encode +\d/,
    / {2}decode +\d/,
    /Everything is stopped/,
  ]) {
    assert.match(out, row);
  }
});

test("the demo ends with Ctrl-C, and so do its workers", limit, async () => {
  // A process group of its own: it is empty when the demo and every worker are gone.
  const demo = spawn(process.execPath, [example("demo.js")], {
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  let interrupted = false;
  demo.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    out += chunk;
    if (interrupted || !out.includes("Amara: 3 of 10")) return;
    interrupted = true;
    demo.kill("SIGINT");
  });
  const [code] = (await once(demo, "close")) as [number | null];
  assert.equal(code, 130);
  assert.match(out, /Interrupted; everything is stopped\.\n$/);
  const { pid } = demo;
  assert.ok(pid !== undefined);
  assert.throws(() => process.kill(-pid, 0), { code: "ESRCH" });
});

test("the demo refuses what it cannot do", limit, async () => {
  const { err, code } = await finish(start([example("demo.js"), "--items", "0"]));
  assert.deepEqual([err, code], ["option_invalid: --items: a whole number from 1 to 400\n", 2]);
});
