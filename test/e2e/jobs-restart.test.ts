/** The command over a server that dies: what it submitted is done once, and is what a plain run gives. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import type { JobStatus } from "millrace-client";
import { finish } from "../support/finish.js";
import { longTest } from "../support/long.js";
import { childrenOf } from "../support/processes.js";
import { millrace, ServeProcess } from "../support/serve-process.js";
import { TempDir } from "../support/temp-dir.js";

const lineCount = 300;

function command(url: string, ...args: readonly string[]): ChildProcess {
  const env = { ...process.env, MILLRACE_URL: url };
  return spawn(process.execPath, [millrace, ...args], { stdio: ["ignore", "pipe", "pipe"], env });
}

async function outputOf(child: ChildProcess): Promise<string> {
  const { out, err, code } = await finish(child);
  assert.equal(code, 0, err);
  return out;
}

/** The server and its workers, at once. */
async function killTree(server: ServeProcess): Promise<void> {
  for (const pid of [server.pid, ...childrenOf(server.pid)]) process.kill(pid, "SIGKILL");
  await server.exited;
}

longTest(
  "submitted by the command, killed in the middle, watched to the end: the lines of a plain translate",
  {},
  async () => {
    await using dir = await TempDir.make();
    const [input, plain, durable] = ["in.txt", "plain.txt", "durable.txt"].map((name) =>
      dir.file(name),
    );
    assert.ok(input !== undefined && plain !== undefined && durable !== undefined);
    const lines = Array.from({ length: lineCount }, (_, index) =>
      index === 7 ? "" : `Day ${index} was ${["good", "long", "cold"][index % 3] ?? ""}.`,
    );
    await writeFile(input, `${lines.join("\n")}\n`);
    const flags = ["--data", dir.file("data"), "--pipelines", "1", "--threads", "1"];
    let url = "";
    let id = "";
    let watching: Promise<string> | null = null;
    const states: JobStatus[] = [];
    {
      await using server = new ServeProcess(millrace, ...flags);
      url = await server.url();
      const settings = ["--model", "en-zh", "--set", "beams=1"];
      const submitted = command(
        url,
        "jobs",
        "submit",
        "--task",
        "translate",
        "--datafile",
        input,
        ...settings,
      );
      id = (await outputOf(submitted)).trim();
      const watch = command(url, "jobs", "watch", id, "--json");
      assert.ok(watch.stdout !== null);
      let heard = "";
      const isUnderWay = new Promise<void>((resolve) => {
        watch.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
          heard += chunk;
          const whole = heard.split("\n");
          heard = whole.pop() ?? "";
          states.push(...whole.map((line) => JSON.parse(line) as JobStatus));
          if (states.some(({ succeeded }) => succeeded > 0)) resolve();
        });
      });
      watching = outputOf(watch);
      await isUnderWay;
      await killTree(server);
    }
    const before = Math.max(...states.map(({ succeeded }) => succeeded));
    await using server = new ServeProcess(millrace, ...flags, "--port", new URL(url).port);
    assert.equal(await server.url(), url);
    await watching;
    const last = states.at(-1);
    assert.deepEqual(
      [last?.id, last?.state, last?.succeeded, last?.failed],
      [id, "completed", lineCount, 0],
    );
    assert.ok(before < lineCount, "it was killed in the middle");
    await outputOf(command(url, "jobs", "results", id, "--out", durable));
    const args = ["--datafile", input, "--out", plain, "--model", "en-zh", "--beams", "1"];
    await outputOf(command(url, "translate", ...args));
    const results = await readFile(durable, "utf8");
    assert.equal(results, await readFile(plain, "utf8"));
    assert.equal(results.split("\n").length, lineCount + 1);
    assert.match(results, /\p{Script=Han}{2}/u);
  },
);
