/** `models pull` against a hub of our own, which speaks the API and misbehaves as hubs, mirrors and networks do. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { finish } from "../support/finish.js";
import { serveHttp } from "../support/http-server.js";
import { hubListing } from "../support/hub-listing.js";
import { pullRepository as pull } from "../support/pull-repository.js";
import { millrace } from "../support/serve-process.js";
import { TempDir } from "../support/temp-dir.js";

const commit = "0123456789abcdef0123456789abcdef01234567";
const weights = Buffer.from(Array.from({ length: 200_000 }, (_, at) => (at * 7) % 251));
const small = {
  "config.json": Buffer.from('{"model_type":"made"}'),
  "tokenizer.json": Buffer.from("{}"),
  "1_Pooling/config.json": Buffer.from("{}"),
} as const;
const others = { "README.md": Buffer.from("# read"), "pytorch_model.bin": Buffer.from("old") };
const everything: Readonly<Record<string, Buffer>> = {
  ...small,
  ...others,
  "model.safetensors": weights,
};
const needed = [...Object.keys(small), "model.safetensors"];

/** `extra`: names of files that nobody can fetch; one may stand there twice. */
function listing(extra: readonly string[] = []): string {
  const usual = hubListing(commit, everything);
  if (extra.length === 0) return usual;
  const more = extra.map((name) => hubListing(commit, { [name]: Buffer.from("x") }));
  const siblings = [usual, ...more].flatMap((text) => JSON.parse(text).siblings);
  return JSON.stringify({ sha: commit, siblings });
}

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

function sendFile({ headers }: IncomingMessage, response: ServerResponse, bytes: Buffer): void {
  const [, from] = /^bytes=(\d+)-$/.exec(headers.range ?? "") ?? [];
  const start = Number(from ?? 0);
  if (from !== undefined) {
    response.statusCode = 206;
    response.setHeader("content-range", `bytes ${start}-${bytes.length - 1}/${bytes.length}`);
  }
  response.end(bytes.subarray(start));
}

/** Large files are elsewhere, as a hub's are. `weird` answers first where it wants to. */
async function serveHub(weird: (path: string, count: number) => Answer | null = () => null) {
  const counts = new Map<string, number>();
  const answer = (request: IncomingMessage, response: ServerResponse, usual: Answer): void => {
    const path = request.url ?? "";
    const count = counts.get(path) ?? 0;
    counts.set(path, count + 1);
    (weird(path, count) ?? usual)(request, response);
  };
  const cdn = await serveHttp(({ request, response }) =>
    answer(request, response, () => sendFile(request, response, weights)),
  );
  const hub = await serveHttp(({ request, response }) =>
    answer(request, response, () => {
      const path = decodeURIComponent(request.url ?? "");
      if (path.startsWith("/api/models/org/made/revision/main"))
        return void response.end(listing());
      const name = path.replace(`/org/made/resolve/${commit}/`, "");
      const bytes = everything[name];
      if (bytes === undefined) return void response.writeHead(404).end();
      if (bytes !== weights) return sendFile(request, response, bytes);
      response.writeHead(302, { location: `${cdn.url}/cdn/weights` }).end();
    }),
  );
  return {
    hub,
    cdn,
    [Symbol.asyncDispose]: async () => {
      await hub[Symbol.asyncDispose]();
      await cdn[Symbol.asyncDispose]();
    },
  };
}

/** But what the pull keeps for itself. */
async function filesIn(dir: string): Promise<string[]> {
  const all = await readdir(dir, { recursive: true, withFileTypes: true });
  return all
    .filter((each) => each.isFile() && each.name !== ".millrace-pull.json")
    .map((each) => join(each.parentPath, each.name).slice(dir.length + 1))
    .sort();
}

async function assertWhole(dir: string): Promise<void> {
  assert.deepEqual(await filesIn(dir), needed.toSorted());
  for (const name of needed) assert.deepEqual(await readFile(join(dir, name)), everything[name]);
}

test("what is needed comes, whole, by the redirect; the token goes to the hub and never to the other host", async () => {
  await using served = await serveHub();
  await using dir = await TempDir.make();
  await pull(served.hub.url, dir.path, { token: "hf_secret" });
  await assertWhole(dir.path);
  const sent = (each: typeof served.hub) =>
    each.exchanges.map(({ request }) => request.headers.authorization);
  assert.ok(sent(served.hub).every((value) => value === "Bearer hf_secret"));
  assert.deepEqual(sent(served.cdn), [undefined]);
  const before = served.hub.exchanges.length;
  await pull(served.hub.url, dir.path);
  assert.equal(served.hub.exchanges.length, before + 1, "again: the list only");
});

test("a body that breaks off is gone on with, also by a later run; nothing comes twice", async () => {
  const broken: Answer = ({ headers }, response) => {
    const [, from] = /^bytes=(\d+)-$/.exec(headers.range ?? "") ?? [];
    const start = Number(from ?? 0);
    if (from !== undefined) {
      response.writeHead(206, {
        "content-range": `bytes ${start}-${weights.length - 1}/${weights.length}`,
      });
    }
    response.write(weights.subarray(start, start + 60_000), () => response.destroy());
  };
  await using served = await serveHub((path, count) =>
    path === "/cdn/weights" && count < 2 ? broken : null,
  );
  await using dir = await TempDir.make();
  await pull(served.hub.url, dir.path);
  await assertWhole(dir.path);
  const ranges = served.cdn.exchanges.map(({ request }) => request.headers.range);
  assert.equal(ranges[0], undefined);
  assert.ok(
    ranges.slice(1).every((range) => /^bytes=[1-9]/.test(range ?? "")),
    ranges.join(),
  );
});

test("an interrupted run keeps its part, and the next one goes on with it", async () => {
  const stop = new AbortController();
  const stalls: Answer = (_request, response) => {
    response.write(weights.subarray(0, 50_000), () =>
      setImmediate(() => stop.abort(new Error("Ctrl-C"))),
    );
  };
  await using served = await serveHub((path, count) =>
    path === "/cdn/weights" && count === 0 ? stalls : null,
  );
  await using dir = await TempDir.make();
  await assert.rejects(pull(served.hub.url, dir.path, { signal: stop.signal }), /Ctrl-C/);
  assert.ok((await filesIn(dir.path)).every((name) => name !== "model.safetensors"));
  await pull(served.hub.url, dir.path);
  await assertWhole(dir.path);
});

test("a server without ranges, one that is busy, and a part that was damaged: all end well", async () => {
  await using dir = await TempDir.make();
  const sha = createHash("sha256").update(weights).digest("hex").slice(0, 12);
  await writeFile(join(dir.path, `model.safetensors.${sha}.part`), Buffer.alloc(70_000));
  await using served = await serveHub((path, count) => {
    if (path !== "/cdn/weights") return null;
    if (count === 0)
      return (_request, response) => void response.writeHead(429, { "retry-after": "0" }).end();
    if (count === 1) return (_request, response) => void response.writeHead(503).end();
    // The part is wrong: found when all is there, and then all of it is asked for.
    return count === 2 ? null : (_request, response) => void response.end(weights);
  });
  await pull(served.hub.url, dir.path);
  await assertWhole(dir.path);
  assert.equal(served.cdn.exchanges.length, 4);
});

test("what is not as the hub's hash says is no file, and says so", async () => {
  const wrong = Buffer.alloc(weights.length, 1);
  await using served = await serveHub((path) =>
    path === "/cdn/weights" ? (_request, response) => void response.end(wrong) : null,
  );
  await using dir = await TempDir.make();
  await assert.rejects(pull(served.hub.url, dir.path), {
    code: "weights_invalid",
    message: /^model\.safetensors: what came is not what the hub's hash says/,
  });
  assert.ok(!(await filesIn(dir.path)).some((name) => name.startsWith("model.safetensors")));
});

for (const [status, code, said] of [
  [401, "unauthenticated", /set HF_TOKEN/],
  [403, "forbidden", /its owner must let you in first/],
  [404, "model_not_found", /has none/],
  [418, "response_invalid", /status 418/],
] as const) {
  test(`status ${status} of the hub is ${code}, at once`, async () => {
    await using served = await serveHub(
      () => (_request, response) => void response.writeHead(status).end(),
    );
    await using dir = await TempDir.make();
    await assert.rejects(pull(served.hub.url, dir.path), { code, message: said });
    assert.equal(served.hub.exchanges.length, 1);
  });
}

for (const name of [
  "../out.json",
  "/etc/out.json",
  "a/../../b.json",
  "a\\b.json",
  "C:x.json",
  "",
  ".millrace-pull.json",
]) {
  test(`a file that the hub calls ${JSON.stringify(name)} has no place in a folder`, async () => {
    await using served = await serveHub(
      () => (_request, response) => void response.end(listing([name])),
    );
    await using dir = await TempDir.make();
    await assert.rejects(pull(served.hub.url, dir.path), { code: "response_invalid" });
    assert.deepEqual(await filesIn(dir.path), []);
  });
}

test("the command shows what comes and what to type next; --all brings everything; no weights are an error", async () => {
  await using served = await serveHub();
  await using dir = await TempDir.make();
  const run = async (...args: string[]) =>
    await finish(
      spawn(process.execPath, [millrace, "models", "pull", ...args], {
        cwd: dir.path,
        env: { ...process.env, HF_ENDPOINT: served.hub.url, HF_TOKEN: "" },
      }),
    );
  const some = await run("org/made");
  assert.match(some.err, /^org\/made at 0123456789ab: 4 files, 200\.0 kB\n {2}config\.json/);
  assert.match(some.err, /\nNext: millrace convert made --out models\/made; /);
  assert.equal(some.out, "org/made: 4 files in made\n");
  const all = await run("org/made", "--all", "--out", "all", "--json");
  assert.deepEqual(JSON.parse(all.out), {
    name: "org/made",
    commit,
    dir: "all",
    files: Object.keys(everything).length,
    bytes: Object.values(everything).reduce((sum, { length }) => sum + length, 0),
  });
  assert.deepEqual(await filesIn(join(dir.path, "all")), Object.keys(everything).toSorted());
  const none = await run("org/none");
  assert.match(
    none.err,
    /^model_not_found: org\/none at main: .*\nThe page of the repository has /,
  );
  await using locked = await serveHttp(({ response }) => void response.writeHead(401).end());
  const shut = await run("org/made", "--endpoint", locked.url);
  assert.match(shut.err, /^unauthenticated: .*\n`HF_TOKEN=hf_… millrace models pull ORG\/NAME` /);
  const odd = await run("org/made", "--endpoint", "ftp://x");
  assert.match(odd.err, /^option_invalid: --endpoint: ftp:\/\/x is no address of a hub\n/);
});

const isList = (path: string): boolean => path.startsWith("/api/");

test("attack: a list of files that breaks off, never ends or comes from a busy hub is asked for again", async () => {
  const silent: Answer = (_request, response) => void response.write("{");
  const broken: Answer = (_request, response) => void response.write("{", () => response.destroy());
  const busy: Answer = (_request, response) => void response.writeHead(503).end();
  await using served = await serveHub((path, count) =>
    isList(path) ? ([silent, broken, busy][count] ?? null) : null,
  );
  await using dir = await TempDir.make();
  await pull(served.hub.url, dir.path, { silenceMsMax: 200 });
  await assertWhole(dir.path);
  await using dead = await serveHub(() => broken);
  await assert.rejects(pull(dead.hub.url, dir.path), {
    code: "connection_failed",
    message: /the list of files broke off/,
  });
  assert.equal(dead.hub.exchanges.length, 6, "and no more often");
});

test("attack: a body of which nothing comes any more is broken off and gone on with", async () => {
  const stalls: Answer = (_request, response) => void response.write(weights.subarray(0, 50_000));
  await using served = await serveHub((path, count) =>
    path === "/cdn/weights" && count === 0 ? stalls : null,
  );
  await using dir = await TempDir.make();
  await pull(served.hub.url, dir.path, { silenceMsMax: 200 });
  await assertWhole(dir.path);
  assert.equal(served.cdn.exchanges[1]?.request.headers.range, "bytes=50000-");
});

test("attack: a hub without ranges that breaks off now earlier, now later gets no nearer, and is given up", async () => {
  let count = 0;
  await using served = await serveHub((path) =>
    path !== "/cdn/weights"
      ? null
      : (_request, response) => {
          count += 1;
          const bytes = count % 2 === 0 ? 10_000 : 20_000;
          const isAtEnd = count > 40;
          if (isAtEnd) response.end(weights);
          else response.write(weights.subarray(0, bytes), () => response.destroy());
        },
  );
  await using dir = await TempDir.make();
  await assert.rejects(pull(served.hub.url, dir.path), { code: "connection_failed" });
  assert.ok(count <= 10, `${count} times`);
});

for (const location of ["http://[", "http://user:secret@127.0.0.1:1/x", "file:///etc/passwd"]) {
  test(`attack: a hub that leads to ${location} leads nowhere, at once and in one line`, async () => {
    for (const isOf of [isList, (path: string) => path.includes("/resolve/")]) {
      await using served = await serveHub((path) =>
        isOf(path)
          ? (_request, response) => void response.writeHead(302, { location }).end()
          : null,
      );
      await using dir = await TempDir.make();
      await assert.rejects(pull(served.hub.url, dir.path), {
        code: "response_invalid",
        message: /leads nowhere/,
      });
    }
  });
}

for (const [what, names] of [
  ["twice", ["config.json"]],
  ["with what moves a terminal's cursor", ["a\u001b[2J.json"]],
  ["with a line break", ["a\nb.json"]],
] as const) {
  test(`attack: a hub that names a file ${what} is refused`, async () => {
    await using served = await serveHub(
      () => (_request, response) => void response.end(listing(names)),
    );
    await using dir = await TempDir.make();
    await assert.rejects(pull(served.hub.url, dir.path), { code: "response_invalid" });
    assert.deepEqual(await filesIn(dir.path), []);
  });
}

test("attack: what is no hub tells a terminal nothing but text", async () => {
  await using served = await serveHub(
    () => (_request, response) => void response.end("\u001b]0;own\u0007"),
  );
  await using dir = await TempDir.make();
  await assert.rejects(pull(served.hub.url, dir.path), (error: Error) => {
    assert.doesNotMatch(error.message, /\p{Cc}/u);
    return true;
  });
});

test("attack: a repository of very many files is listed by its first ones", async () => {
  // On a fifth of the usual stack, which a fifth of the files overflows where they are all arguments of one call.
  const names = Array.from({ length: 30_000 }, (_, at) => `${at}.json`);
  const list = listing(names);
  await using served = await serveHub((path) =>
    isList(path)
      ? (_request, response) => void response.end(list)
      : (_request, response) => void response.writeHead(404).end(),
  );
  await using dir = await TempDir.make();
  const { err, code } = await finish(
    spawn(process.execPath, ["--stack-size=200", millrace, "models", "pull", "org/made"], {
      cwd: dir.path,
      env: { ...process.env, HF_ENDPOINT: served.hub.url, HF_TOKEN: "" },
    }),
  );
  assert.match(err, /30004 files, .*\n(?: {2}\S+ .*\n){40} {2}and 29964 more\n/);
  assert.match(err, /\nmodel_not_found: /);
  assert.equal(code, 1);
});

test("attack: two that pull into one folder never write into each other's files", async () => {
  let go: () => void = () => {};
  const gone = new Promise<void>((resolve) => {
    go = resolve;
  });
  await using served = await serveHub((path, count) =>
    path === "/cdn/weights" && count === 0
      ? (_request, response) => void gone.then(() => response.end(weights))
      : null,
  );
  await using dir = await TempDir.make();
  const run = () =>
    finish(
      spawn(process.execPath, [millrace, "models", "pull", "org/made", "--out", "made"], {
        cwd: dir.path,
        env: { ...process.env, HF_ENDPOINT: served.hub.url, HF_TOKEN: "" },
      }),
    );
  const first = run();
  await served.cdn.arrived(0);
  const second = await run();
  assert.match(second.err, /^output_in_use: another run writes to /);
  assert.equal(second.code, 9);
  go();
  assert.equal((await first).code, 0);
  await assertWhole(join(dir.path, "made"));
});
