/** Commands for many inputs, killed and gone on with: what they leave is what an undisturbed run leaves. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { appendFile, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { mock, test } from "node:test";
import { fileURLToPath } from "node:url";
import { registerClassify } from "#src/cli/classify.js";
import { registerEmbed } from "#src/cli/embed.js";
import { exitCodes } from "#src/cli/exit-codes.js";
import { registerOcr } from "#src/cli/ocr.js";
import { newProgram, run } from "#src/cli/program.js";
import { registerRerank } from "#src/cli/rerank.js";
import { registerTranslate } from "#src/cli/translate.js";
import { finish } from "../support/finish.js";
import {
  beginStream,
  doneLine,
  type Exchange,
  refuse,
  serveHttp,
  type TestServer,
} from "../support/http-server.js";
import { answerTask, inputsOf, vectorOf, width } from "../support/task-answers.js";
import { TempDir } from "../support/temp-dir.js";
import { until } from "../support/until.js";

/** Started where a process is killed. */
const main = fileURLToPath(import.meta.resolve("../support/bulk-commands.js"));

function start(args: readonly string[], server: TestServer): ChildProcess {
  const all = [main, ...args, "--url", server.url];
  return spawn(process.execPath, all, { stdio: ["pipe", "pipe", "pipe"] });
}

/** In this process, where nobody kills it: what it says on standard error, and its exit status. */
async function runHere(args: readonly string[], server: TestServer) {
  const program = newProgram();
  registerEmbed(program);
  registerClassify(program);
  registerRerank(program);
  registerTranslate(program);
  registerOcr(program);
  let err = "";
  const known = new Set(process.stdout.listeners("error"));
  const stderr = mock.method(process.stderr, "write", (piece: unknown) => {
    err += String(piece);
    return true;
  });
  try {
    await run(program, [process.execPath, main, ...args, "--url", server.url]);
    return { err, code: process.exitCode };
  } finally {
    process.exitCode = undefined;
    stderr.mock.restore();
    // What stays until a process ends: see remote.ts.
    for (const listener of process.stdout.listeners("error")) {
      if (!known.has(listener)) process.stdout.off("error", listener as () => void);
    }
  }
}

/** Answers but for the requests from `held` on, which wait until the caller is gone. */
function answerBefore(held: number): (exchange: Exchange) => void {
  return (exchange) => {
    if (exchange.number < held) answerTask(exchange);
  };
}

/** Resolves when the file is longer than `bytes`. */
async function longerThan(path: string, bytes: number): Promise<void> {
  const sizeOf = (): Promise<number> =>
    stat(path).then(
      ({ size }) => size,
      () => 0,
    );
  await until(async () => (await sizeOf()) > bytes);
}

const lines = Array.from(
  { length: 1_500 },
  (_, index) => (index % 397 === 3 ? "!" : "") + `line ${index}`,
);

for (const [name, torn] of [
  ["rows.npy", "12345"],
  ["rows.jsonl", '{"line":2001,"text":"cut of'],
] as const) {
  test(`embed into ${name}: killed in the middle and run again, it is what an undisturbed run leaves`, async () => {
    await using dir = await TempDir.make();
    const [from, wanted, out] = ["in.txt", `wanted-${name}`, name].map((file) =>
      join(dir.path, file),
    );
    assert.ok(from !== undefined && wanted !== undefined && out !== undefined);
    await writeFile(from, lines.join("\n"));
    await using server = await serveHttp(answerTask);
    const undisturbed = await runHere(["embed", from, "--out", wanted], server);
    assert.equal(undisturbed.code, exitCodes.itemsFailed);
    assert.match(
      undisturbed.err,
      /^item_failed: line 4: it begins with a bang\nitem_failed: line 401: /,
    );
    assert.match(undisturbed.err, /^total: 1500\nrequests: 6\n[\s\S]*^kept: 0\nfailed: 4\n$/m);

    await using stuck = await serveHttp(answerBefore(2));
    const killed = start(["embed", from, "--out", out], stuck);
    await longerThan(out, 128 + 256 * width);
    killed.kill("SIGKILL");
    assert.equal((await finish(killed)).signal, "SIGKILL");
    // What a write leaves that was cut off, which a kill does seldom and a full disk always.
    await appendFile(out, torn);

    await using again = await serveHttp(answerTask);
    const resumed = await runHere(["embed", from, "--out", out, "--json-summary"], again);
    assert.equal(resumed.code, exitCodes.itemsFailed, resumed.err);
    const sums = JSON.parse(resumed.err.trim().split("\n").at(-1) ?? "") as Record<string, number>;
    assert.ok((sums["kept"] ?? 0) > 0, resumed.err);
    assert.equal((sums["kept"] ?? 0) + (sums["total"] ?? 0), lines.length);
    assert.equal(again.exchanges.flatMap(inputsOf).length, sums["total"]);
    assert.deepEqual(await readFile(out), await readFile(wanted));
    const failed = (path: string) => readFile(`${path}.failed.jsonl`, "utf8").catch(() => null);
    assert.equal(await failed(out), await failed(wanted));

    // Nothing comes behind it that could hide it.
    await appendFile(out, torn);
    const third = await runHere(["embed", from, "--out", out], again);
    assert.deepEqual([third.code, third.err.includes("total: 0\n")], [exitCodes.ok, true]);
    assert.deepEqual(await readFile(out), await readFile(wanted));
  });
}

test("an array has a head for numpy, a row a line, and NaN for those that failed", async () => {
  await using dir = await TempDir.make();
  const [from, out] = [join(dir.path, "in.txt"), join(dir.path, "rows.npy")];
  await writeFile(from, "!first\na\n\n!b\nc\n");
  await using server = await serveHttp(answerTask);
  const { code, err } = await runHere(["embed", from, "--out", out, "--dimensions", "8"], server);
  assert.equal(code, exitCodes.itemsFailed, err);
  const bytes = await readFile(out);
  assert.equal(bytes.toString("latin1", 1, 6), "NUMPY");
  assert.match(
    bytes.toString("latin1", 10, 128),
    /^\{'descr': '<f4', 'fortran_order': False, 'shape': \(5, 8\), \} +\n$/,
  );
  const numbers = new Float32Array(
    bytes.buffer.slice(bytes.byteOffset + 128, bytes.byteOffset + bytes.length),
  );
  const nan = new Float32Array(width).fill(Number.NaN);
  const wanted = [nan, vectorOf("a"), vectorOf(""), nan, vectorOf("c")];
  assert.deepEqual(numbers, Float32Array.from(wanted.flatMap((row) => [...row])));
  assert.equal(
    await readFile(`${out}.failed.jsonl`, "utf8"),
    [0, 3]
      .map(
        (row) =>
          `{"row":${row},"name":"line ${row + 1}","code":"item_failed","message":"it begins with a bang"}\n`,
      )
      .join(""),
  );
  const body = server.exchanges[0]?.body as Record<string, unknown>;
  assert.deepEqual({ ...body, texts: 0 }, { texts: 0, dimensions: 8, encoding: "base64" });
});

test("defect: lines have numbers in the digits in which the route has them", async () => {
  await using dir = await TempDir.make();
  const [from, out] = [join(dir.path, "in.txt"), join(dir.path, "out.jsonl")];
  await writeFile(from, "third\n");
  await using server = await serveHttp((exchange) => {
    const numbers = Float32Array.of(0.1, 1 / 3, -1e-30, 16_777_216, 0, 2 ** -149, -2.5, 1e6);
    const embedding = Buffer.from(numbers.buffer).toString("base64");
    beginStream(exchange.response);
    exchange.response.end(
      `${JSON.stringify({ index: 0, embedding, inputTokens: 1 })}\n${doneLine(1)}`,
    );
  });
  const { code, err } = await runHere(["embed", from, "--out", out], server);
  assert.equal(code, exitCodes.ok, err);
  assert.match(
    await readFile(out, "utf8"),
    /"embedding":\[0\.1,0\.33333334,-1e-30,16777216,0,1e-45,-2\.5,1000000\]/,
  );
});

test("what was begun otherwise, or by nobody knows whom, is left as it is; --restart begins anew", async () => {
  await using dir = await TempDir.make();
  const [from, out] = [join(dir.path, "in.txt"), join(dir.path, "out.jsonl")];
  await writeFile(from, "a\nb");
  await using server = await serveHttp(answerTask);
  const rerun = (...more: string[]) =>
    runHere(["classify", from, "--out", out, "--model", "m", ...more], server);
  assert.equal((await rerun()).code, exitCodes.ok);
  const whole = await readFile(out, "utf8");
  assert.deepEqual(
    whole
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { line: number; text: string }).text),
    ["a", "b"],
  );
  const other = await rerun("--raw");
  assert.deepEqual([other.code, await readFile(out, "utf8")], [exitCodes.usage, whole]);
  assert.match(
    other.err,
    /^option_invalid: .*out\.jsonl was begun with raw not given instead of true: /,
  );
  // A line that had no end yet was another line.
  await writeFile(from, "a\nbb\nc");
  const changed = await rerun();
  assert.deepEqual([changed.code, await readFile(out, "utf8")], [exitCodes.usage, whole]);
  assert.match(changed.err, /^option_invalid: .* was begun with another beginning of /);
  await writeFile(from, "a\nb\nc\n");
  const grown = await rerun();
  assert.deepEqual([grown.code, /total: 1\n/.test(grown.err)], [exitCodes.ok, true], grown.err);
  assert.equal((await readFile(out, "utf8")).split("\n").length, 4);

  await writeFile(`${out}.progress.json`, "{");
  const damaged = await rerun();
  assert.match(damaged.err, /^output_exists: .* is damaged\n/);
  assert.equal((await rerun("--restart")).code, exitCodes.ok);
  const stranger = join(dir.path, "mine.jsonl");
  await writeFile(stranger, "precious\n");
  const refused = await runHere(["classify", from, "--out", stranger], server);
  assert.match(refused.err, /^output_exists: .* is there, and there is no .*progress\.json/);
  assert.equal(await readFile(stranger, "utf8"), "precious\n");
});

test("defect: a run that ended before its first row, by a typing error, does not stand in the way of the right one", async () => {
  await using dir = await TempDir.make();
  const from = join(dir.path, "in.txt");
  await writeFile(from, "a\nb\n");
  await using broken = await serveHttp((exchange) => {
    refuse(exchange, { status: 404, code: "model_not_found" });
  });
  await using server = await serveHttp(answerTask);
  for (const name of ["out.npy", "out.jsonl"]) {
    const args = ["embed", from, "--out", join(dir.path, name), "--model"];
    const wrong = await runHere([...args, "wrong"], broken);
    assert.notEqual(wrong.code, exitCodes.ok);
    assert.equal((await stat(join(dir.path, name))).size, 0);
    const right = await runHere([...args, "right"], server);
    assert.equal(right.code, exitCodes.ok, right.err);
  }
});

test("attack: --restart into the file that is read, by any name, leaves it as it is", async () => {
  await using dir = await TempDir.make();
  const [from, link] = [join(dir.path, "in.jsonl"), join(dir.path, "link.jsonl")];
  await writeFile(from, "one\ntwo\n");
  await symlink(from, link);
  await using server = await serveHttp(answerTask);
  for (const command of ["embed", "classify"]) {
    for (const out of [from, link]) {
      const refused = await runHere([command, from, "--out", out, "--restart"], server);
      assert.equal(refused.code, exitCodes.usage);
      assert.match(refused.err, /--out: cannot use .*\.jsonl: it is the input/);
      assert.equal(await readFile(from, "utf8"), "one\ntwo\n");
    }
  }
  assert.deepEqual((await readdir(dir.path)).sort(), ["in.jsonl", "link.jsonl"]);
});

test("defect: translate and rerank leave the file that they read, too", async () => {
  await using dir = await TempDir.make();
  const [from, link] = [join(dir.path, "in.txt"), join(dir.path, "link.txt")];
  await writeFile(from, "one\ntwo\n");
  await symlink(from, link);
  await using server = await serveHttp(answerTask);
  for (const args of [
    ["translate", "--datafile", from],
    ["rerank", "why", from],
  ]) {
    for (const out of [from, link]) {
      const refused = await runHere([...args, "--out", out], server);
      assert.equal(refused.code, exitCodes.usage);
      assert.match(refused.err, /--out: cannot use .*\.txt: it is the input/);
    }
  }
  assert.equal(server.exchanges.length, 0);
  assert.equal(await readFile(from, "utf8"), "one\ntwo\n");
});

test("defect: a second run into the same output touches nothing, and goes on when the first was killed", async () => {
  await using dir = await TempDir.make();
  const [from, out, scans] = ["in.txt", "out.jsonl", "scans"].map((name) => join(dir.path, name));
  assert.ok(from !== undefined && out !== undefined && scans !== undefined);
  await writeFile(from, lines.slice(0, 600).join("\n"));
  await mkdir(scans);
  await using stuck = await serveHttp(answerBefore(1));
  await using server = await serveHttp(answerTask);
  const first = start(["embed", from, "--out", out], stuck);
  await longerThan(out, 0);
  const before = await readFile(out);
  for (const args of [
    ["embed", from],
    ["embed", from, "--restart"],
    ["ocr", scans],
  ]) {
    const second = await runHere([...args, "--out", out], server);
    assert.equal(second.code, exitCodes.outputInUse, second.err);
    const message = `^output_in_use: another run writes to .*out\\.jsonl \\(process ${first.pid}\\)`;
    assert.match(second.err, new RegExp(message));
  }
  assert.deepEqual([server.exchanges.length, await readFile(out)], [0, before]);
  first.kill("SIGKILL");
  await finish(first);
  const third = await runHere(["embed", from, "--out", out], server);
  assert.match(third.err, /^kept: 256$/m);
  assert.deepEqual((await readdir(dir.path)).sort(), [
    "in.txt",
    "out.jsonl",
    "out.jsonl.progress.json",
    "scans",
  ]);
});

test("wrong flags and files that are not there: nothing is sent, and nothing is written", async () => {
  await using dir = await TempDir.make();
  await using server = await serveHttp(answerTask);
  const out = join(dir.path, "out.jsonl");
  const cases = [
    [
      ["embed", join(dir.path, "none.txt"), "--out", out],
      /^option_invalid: FILE: there is no .*none\.txt\n/,
    ],
    [["embed", dir.path, "--out", out], /^option_invalid: FILE: cannot use .*: it is a folder/],
    [["embed", "-", "--out", join(dir.path, "out.csv")], /must end in \.npy or \.jsonl/],
    [
      ["embed", "-", "--pooling", "none", "--out", join(dir.path, "out.npy")],
      /--pooling none gives/,
    ],
    [
      ["ocr", join(dir.path, "none"), "--out", out],
      /^option_invalid: FOLDER: cannot use .*: there is no such file \(ENOENT\)/,
    ],
    [
      ["ocr", dir.path, "--out", join(dir.path, "no", "out.jsonl")],
      /^option_invalid: --out: .*ENOENT/,
    ],
  ] as const;
  for (const [args, message] of cases) {
    const { code, err } = await runHere(args, server);
    assert.equal(code, exitCodes.usage, err);
    assert.match(err, message);
  }
  assert.equal(server.exchanges.length, 0);
  assert.deepEqual(await readdir(dir.path), []);
});

async function makePictures(dir: string): Promise<string[]> {
  await mkdir(join(dir, "b", "deep"), { recursive: true });
  await mkdir(join(dir, "b-after"));
  const names = Array.from(
    { length: 60 },
    (_, at) => `${["b/deep", "b", "b-after"][at % 3]}/${at + 100}.PNG`,
  );
  for (const name of ["a.jpg", ...names, "z.tiff"])
    await writeFile(join(dir, name), `picture ${name}`);
  await writeFile(join(dir, "notes.txt"), "no picture");
  await symlink("nowhere", join(dir, "c.gif"));
  return ["a.jpg", ...names, "c.gif", "z.tiff"];
}

test("ocr of a folder: killed and run again it reads no file twice, and says what is new before that place", async () => {
  await using dir = await TempDir.make();
  const folder = join(dir.path, "scans");
  const names = await makePictures(folder);
  const [wanted, out] = [join(dir.path, "wanted.jsonl"), join(dir.path, "out.jsonl")];
  await using server = await serveHttp(answerTask);
  const undisturbed = await runHere(["ocr", folder, "--out", wanted], server);
  assert.equal(undisturbed.code, exitCodes.itemsFailed, undisturbed.err);
  assert.match(undisturbed.err, /^image_invalid: c\.gif: there is no such file \(ENOENT\)\n/);
  assert.match(
    undisturbed.err,
    /^total: 63\nrequests: 4\n[\s\S]*^kept: 0\nskipped: 1\nfailed: 1\n$/m,
  );
  const rows = (await readFile(wanted, "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { file: string; index: number; lines?: { text: string }[] });
  const files = rows.map(({ file }) => file);
  assert.deepEqual(files.toSorted(), names.toSorted());
  assert.deepEqual(files.slice(0, 3), ["a.jpg", "b/101.PNG", "b/104.PNG"]);
  for (const [index, row] of rows.entries()) {
    assert.equal(row.index, index);
    if (row.file !== "c.gif") assert.equal(row.lines?.[0]?.text, `picture ${row.file}`);
  }

  await using stuck = await serveHttp(answerBefore(1));
  const killed = start(["ocr", folder, "--out", out], stuck);
  await longerThan(out, 0);
  killed.kill("SIGKILL");
  await finish(killed);
  // Of the sixteen that were answered; a busy machine may have written some of them only.
  const kept = (await readFile(out, "utf8")).split("\n").length - 1;
  assert.ok(kept > 0 && kept <= 16);
  await writeFile(join(folder, "a-new.png"), "new");
  await using again = await serveHttp(answerTask);
  const resumed = await runHere(["ocr", folder, "--out", out], again);
  assert.match(resumed.err, /^warning: 1 new files sort before .*\(the first: a-new\.png\)/m);
  assert.match(resumed.err, new RegExp(`^kept: ${kept}$`, "m"));
  assert.equal(again.exchanges.flatMap(inputsOf).length, names.length - kept - 1);
  assert.deepEqual(await readFile(out), await readFile(wanted));
});

test("Ctrl-C keeps what is done and says how to go on; a server that breaks does so too", async () => {
  await using dir = await TempDir.make();
  const [from, out] = [join(dir.path, "in.txt"), join(dir.path, "out.jsonl")];
  await writeFile(from, lines.join("\n"));
  await using stuck = await serveHttp(answerBefore(2));
  const child = start(["classify", from, "--out", out], stuck);
  await longerThan(out, 0);
  child.kill("SIGINT");
  const stopped = await finish(child);
  assert.equal(stopped.code, exitCodes.interrupted);
  assert.match(stopped.err, /out\.jsonl: \d+ are done; the same command goes on behind them\n$/);
  await using broken = await serveHttp((exchange) => {
    if (exchange.number === 0) answerTask(exchange);
    else refuse(exchange, { status: 500, code: "internal" });
  });
  const failed = await runHere(["classify", from, "--out", out], broken);
  assert.equal(failed.code, exitCodes.failed);
  assert.match(
    failed.err,
    /out\.jsonl: \d+ are done; the same command goes on behind them\ninternal: /,
  );
  await using server = await serveHttp(answerTask);
  const { code } = await runHere(["classify", from, "--out", out], server);
  assert.equal(code, exitCodes.itemsFailed);
  const rows = (await readFile(out, "utf8")).trim().split("\n");
  assert.deepEqual(
    rows.map((row) => (JSON.parse(row) as { text: string }).text),
    lines,
  );
});

test("rerank prints the lines that answer best, and classify takes a folder of pictures", async () => {
  await using dir = await TempDir.make();
  await using server = await serveHttp(answerTask);
  const passages = Array.from({ length: 50 }, (_, index) => `passage ${index}`);
  const ranked = await finish(
    start(["rerank", "why", "-", "--top", "3"], server),
    passages.join("\n"),
  );
  const score = (passage: string): number => (vectorOf(`why ${passage}`)[0] ?? 0) + 0.5;
  const best = passages.toSorted((left, right) => score(right) - score(left)).slice(0, 3);
  const found = ranked.out
    .trim()
    .split("\n")
    .map((line) => (JSON.parse(line) as { text: string }).text);
  assert.deepEqual([found, ranked.code, ranked.err], [best, exitCodes.ok, ""]);
  await writeFile(join(dir.path, "cat.png"), "a cat");
  const labels = await finish(start(["classify", dir.path], server));
  assert.match(labels.out, /^\{"index":0,"file":"cat\.png","labels":\[\{"label":"YSBjYXQ="/);
});
