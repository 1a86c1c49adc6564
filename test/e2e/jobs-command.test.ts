/** `millrace jobs` and `translate --durable` as processes, before real routes and jobs in memory. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, truncate, writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Millrace } from "millrace-client";
import { exitCodes } from "#src/cli/exit-codes.js";
import { type Finished, finish } from "../support/finish.js";
import { TestFront } from "../support/http-front.js";
import { longTest } from "../support/long.js";
import { MemoryJobs } from "../support/memory-jobs.js";
import { TempDir } from "../support/temp-dir.js";

const main = fileURLToPath(new URL("../support/jobs-commands.js", import.meta.url));

class Bench implements AsyncDisposable {
  readonly jobs: MemoryJobs;
  readonly dir: TempDir;
  readonly #front: TestFront;

  static async start(): Promise<Bench> {
    const jobs = new MemoryJobs();
    return new Bench(jobs, await TestFront.start({}, { jobs }), await TempDir.make());
  }

  private constructor(jobs: MemoryJobs, front: TestFront, dir: TempDir) {
    this.jobs = jobs;
    this.#front = front;
    this.dir = dir;
  }

  get url(): string {
    return this.#front.url;
  }

  begin(...args: readonly string[]): ChildProcess {
    const env = { ...process.env, MILLRACE_URL: this.#front.url };
    return spawn(process.execPath, [main, ...args], { stdio: ["pipe", "pipe", "pipe"], env });
  }

  async run(...args: readonly string[]): Promise<Finished> {
    return await finish(this.begin(...args));
  }

  async make(texts: readonly string[]): Promise<void> {
    const client = new Millrace(this.#front.url);
    await client.jobs.submit(texts, { task: "translate" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#front[Symbol.asyncDispose]();
    await this.dir[Symbol.asyncDispose]();
  }
}

/** Leaves the stream open: a command whose output nobody reads ends otherwise. */
async function said(
  child: ChildProcess,
  stream: "stdout" | "stderr",
  pattern: RegExp,
): Promise<void> {
  const output = child[stream];
  assert.ok(output !== null);
  let heard = "";
  await new Promise<void>((resolve, reject) => {
    output.setEncoding("utf8").on("data", (chunk: string) => {
      heard += chunk;
      if (pattern.test(heard)) resolve();
    });
    output.once("end", () => reject(new Error(`it ended with ${heard}`)));
  });
}

test("submit, status, list, results, cancel, remove: from a file, from stdin, from JSON lines", async () => {
  await using bench = await Bench.start();
  const file = bench.dir.file("in.txt");
  await writeFile(file, "ab\n\n!\r\nc");
  const args = ["--set", "beams=2", "--metadata", "of=me", "--idempotency-key", "k"];
  const submit = ["jobs", "submit", "--task", "translate", "--datafile", file, ...args];
  assert.deepEqual(await bench.run(...submit), { out: "job-1\n", err: "", code: 0, signal: null });
  assert.equal((await bench.run(...submit)).out, "job-1\n", "the same key");
  assert.deepEqual(bench.jobs.inputsOf("job-1"), ["ab", "", "!", "c"]);
  const { form, metadata } = bench.jobs.requestOf("job-1");
  assert.deepEqual([form.kind === "native" && form.fields, metadata], [{ beams: 2 }, { of: "me" }]);

  const piped = bench.begin("jobs", "submit", "--task", "translate", "--jsonl", "--json");
  const { out } = await finish(piped, '"a"\n\n{"texts":["b"]}\n');
  assert.equal((JSON.parse(out) as { readonly lines: number }).lines, 2);
  const broken = bench.begin("jobs", "submit", "--task", "translate", "--jsonl");
  const refused = await finish(broken, '"a"\n7\n');
  assert.match(refused.err, /^bad_request: line 2: it is neither a text nor an object/);

  bench.jobs.step("job-1", 4);
  const status = await bench.run("jobs", "status", "job-1");
  assert.deepEqual([status.out, status.code], ["job-1  completed  4/4 done, 1 failed\n", 6]);
  const list = await bench.run("jobs", "list");
  assert.equal(list.out, "job-2  queued  0/2 done\njob-1  completed  4/4 done, 1 failed\n");
  const results = await bench.run("jobs", "results", "job-1");
  assert.equal(results.code, exitCodes.itemsFailed);
  assert.deepEqual(
    results.out
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { text?: string }).text),
    ["ba", "", undefined, "c"],
  );
  const cancelled = await bench.run("jobs", "cancel", "job-2");
  assert.equal(cancelled.out, "job-2  cancelled  0/2 done\n");
  assert.equal(
    (await bench.run("jobs", "remove", "job-1", "job-2")).out,
    "job-1  removed\njob-2  removed\n",
  );
  const gone = await bench.run("jobs", "status", "job-1");
  assert.deepEqual([gone.code, gone.err.split(":", 1)[0]], [exitCodes.failed, "job_not_found"]);
});

test("defect: cancel and remove of several stopped at the first that was not there", async () => {
  await using bench = await Bench.start();
  await bench.make(["a"]);
  await bench.make(["b"]);
  for (const [command, ends] of [
    ["cancel", ["job-1  cancelled  0/1 done", "job-2  cancelled  0/1 done"]],
    ["remove", ["job-1  removed", "job-2  removed"]],
  ] as const) {
    const done = await bench.run("jobs", command, "job-9", "job-1", "job-8", "job-2");
    assert.deepEqual(done.out.trimEnd().split("\n"), ends);
    assert.match(done.err, /^job_not_found: job-9: .*\njob_not_found: job-8: .*\n$/);
    assert.equal(done.code, exitCodes.failed);
  }
});

longTest("results go on where the file ends, and belong to one job", {}, async () => {
  await using bench = await Bench.start();
  const out = bench.dir.file("out.txt");
  const texts = Array.from({ length: 20 }, (_, index) => `a${String(index).padStart(2, "0")}`);
  await bench.make(texts);
  bench.jobs.step("job-1", 8);
  const fetch = ["jobs", "results", "job-1", "--out", out];
  const early = await bench.run(...fetch, "--no-wait");
  assert.deepEqual([early.code, early.out], [0, ""]);
  assert.equal((await readFile(out, "utf8")).split("\n").length, 9);
  // As a run that was killed in the middle of a line leaves it.
  await truncate(out, 14);
  bench.jobs.step("job-1", 12);
  assert.equal((await bench.run(...fetch)).code, 0);
  const whole = Array.from(
    { length: 20 },
    (_, index) => `${String(index).padStart(2, "0").split("").reverse().join("")}a\n`,
  );
  assert.equal(await readFile(out, "utf8"), whole.join(""));
  await bench.make(texts);
  bench.jobs.step("job-2", 20);
  const other = await bench.run("jobs", "results", "job-2", "--out", out);
  assert.equal(other.code, exitCodes.usage);
  assert.match(other.err, /was begun with job job-1 instead of job-2/);
  assert.equal(await readFile(out, "utf8"), whole.join(""), "nothing was touched");
  const rows = bench.dir.file("out.jsonl");
  await bench.run("jobs", "results", "job-2", "--out", rows);
  assert.equal((await readFile(rows, "utf8")).split("\n")[1], '{"line":1,"text":"10a"}');
});

longTest(
  "watch says each change, and Ctrl-C leaves the job running and says how to come back",
  {},
  async () => {
    await using bench = await Bench.start();
    const interrupted = bench.begin("jobs", "submit", "--task", "translate", "--watch", "--json");
    interrupted.stdin?.end("a\nb\n");
    assert.ok(interrupted.stderr !== null);
    const words = text(interrupted.stderr);
    await said(interrupted, "stdout", /"state":"queued"/);
    interrupted.kill("SIGINT");
    assert.match(await words, /come back with: millrace jobs watch job-1\n$/);
    assert.equal(
      interrupted.exitCode ?? (await once(interrupted, "close"))[0],
      exitCodes.interrupted,
    );
    const watching = bench.begin("jobs", "watch", "job-1");
    const watched = finish(watching);
    bench.jobs.step("job-1", 1);
    bench.jobs.step("job-1", 1);
    const wanted = { out: "job-1  completed  2/2 done\n", err: "", code: 0, signal: null };
    assert.deepEqual(await watched, wanted);
    const none = await bench.run("jobs", "watch", "job-9");
    assert.match(
      none.err,
      /^job_not_found: /,
      "defect: of a job that is not there it said that it goes on",
    );
  },
);

longTest(
  "defect: results ended where the server was away for seconds before the first or behind the last",
  {},
  async () => {
    await using bench = await Bench.start();
    await bench.make(["a"]);
    bench.jobs.step("job-1", 1);
    let away = 6;
    const { port } = new URL(bench.url);
    const proxy = createServer((caller) => {
      caller.on("error", () => {});
      if (away > 0) {
        away -= 1;
        caller.resetAndDestroy();
        return;
      }
      const server = connect(Number(port), "127.0.0.1");
      server.on("error", () => caller.destroy());
      caller.pipe(server).pipe(caller);
    });
    await once(proxy.listen(0, "127.0.0.1"), "listening");
    try {
      const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
      const fetched = await bench.run("jobs", "results", "job-1", "--url", url);
      assert.deepEqual([fetched.code, fetched.err], [0, ""]);
      assert.equal(fetched.out, '{"line":0,"text":"a"}\n');
    } finally {
      proxy.close();
    }
  },
);

longTest(
  "translate --durable: interrupted and started again it goes on with the same job",
  {},
  async () => {
    await using bench = await Bench.start();
    const [file, out] = [bench.dir.file("in.txt"), bench.dir.file("out.txt")];
    await writeFile(file, "one\n\n!two\nthree");
    const args = ["translate", "--durable", "--datafile", file, "--out", out, "--beams", "2"];
    const first = bench.begin(...args);
    await said(first, "stderr", /job job-1; Ctrl-C leaves it running/);
    bench.jobs.step("job-1", 2);
    first.kill("SIGINT");
    await once(first, "close");
    assert.equal(first.exitCode, exitCodes.interrupted);
    bench.jobs.step("job-1", 2);
    const again = await bench.run(...args);
    assert.equal(again.code, exitCodes.itemsFailed);
    assert.match(again.err, /^item_failed: line 3: /m);
    assert.match(again.err, /^failed: 1$/m);
    assert.equal(await readFile(out, "utf8"), "eno\n\n\neerht\n");
    assert.throws(() => bench.jobs.inputsOf("job-2"), "one job");
    const changed = await bench.run(...args.slice(0, -1), "3");
    assert.equal(changed.code, exitCodes.usage, "the job of other settings has another file");
    assert.equal((await bench.run(...args, "--request-texts", "3")).code, exitCodes.usage);
  },
);
