/** `millrace record` at a server whose workers take the recorded times, and `millrace plan` of what it kept. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { exitCodes } from "#src/cli/exit-codes.js";
import { readRecording } from "#src/record/recording-file.js";
import { finish } from "../support/finish.js";
import { accessFor, TestFront } from "../support/http-front.js";
import { recordedHead } from "../support/recordings.js";
import { millrace } from "../support/serve-process.js";
import { ClosedLoop, sentence } from "../support/situations/load.js";
import { TimedServer } from "../support/situations/timed-server.js";
import { TempDir } from "../support/temp-dir.js";
import { until } from "../support/until.js";

function run(...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [millrace, ...args], { stdio: ["pipe", "pipe", "pipe"] });
}

describe("record and plan", { concurrency: true }, () => {
  test("a load is recorded, and its plan says how it went and how it would go", async () => {
    await using server = await TimedServer.start();
    await using dir = await TempDir.make();
    const file = dir.file("load.jsonl.gz");
    await using load = new ClosedLoop(server.url, 3, () => ({
      body: { texts: [sentence(6)] },
      headers: { "x-millrace-tenant": "the bank" },
    }));
    await until(() => Promise.resolve(load.replies > 0));
    const recorded = await finish(
      run("record", server.url, "--for", "2s", "--out", file, "--json"),
    );
    assert.deepEqual([recorded.code, recorded.err], [exitCodes.ok, ""]);
    const told = JSON.parse(recorded.out);
    assert.equal(told.why, "time");
    const { head, lines, isCut } = await readRecording(file);
    assert.equal(isCut, false);
    assert.equal(lines.filter(({ type }) => type === "request").length, told.requests);
    assert.ok(told.requests > 3 && told.ended > 0);
    assert.doesNotMatch(JSON.stringify([head, lines]), /bank/);
    assert.ok(
      lines.some(({ type }) => type === "runs") && lines.some(({ type }) => type === "time"),
    );
    const planned = await finish(
      run("plan", file, "--pipelines", "1,2", "--load", "1,2", "--json"),
    );
    assert.equal(planned.err, "");
    const { recorded: own, rows, waits } = JSON.parse(planned.out);
    assert.equal(rows.length, 4);
    assert.equal(typeof waits, "boolean");
    assert.ok(own.errors.realtime.p50 > 0 && own.actual.realtime.p50Ms > 0);
    const words = await finish(run("plan", file, "--p99", "10s", "--policy", "fcfs"));
    assert.match(
      words.out,
      /^recorded: millrace, 1 pipeline of 1 thread: realtime p50 .* predicted, .* real \([+-]?\d+%\), p99 /,
    );
    assert.match(words.out, /\nfcfs +1 +1× /);
    assert.match(
      words.out,
      /\np99 within 10\.0 s at 1× the load with fcfs: 1 pipeline of 1 thread\n/,
    );
    const again = await finish(run("record", server.url, "--for", "1s", "--out", file));
    assert.match(again.err, /^output_exists: /);
  });

  test("Ctrl-C ends the file, and it is good", async () => {
    await using server = await TimedServer.start({ workers: "fake" });
    await using dir = await TempDir.make();
    const file = dir.file("cut.gz");
    const child = run("record", "--url", server.url, "--for", "1h", "--out", file);
    await until(() => Promise.resolve(existsSync(file)));
    child.kill("SIGINT");
    const { code, out } = await finish(child);
    assert.equal(code, exitCodes.interrupted);
    assert.match(out, /0 requests .*ended by Ctrl-C\nnext: millrace plan /);
    const { lines } = await readRecording(file);
    assert.deepEqual(
      lines.flatMap((line) => (line.type === "closed" ? [line.why] : [])),
      ["interrupted"],
    );
    const { err, code: planned } = await finish(run("plan", file));
    assert.equal(planned, exitCodes.usage);
    assert.match(err, /^option_invalid: .*no request came while it was recorded/);
  });

  test("a server that stops ends the recording with its last line", async () => {
    const server = await TimedServer.start({ workers: "fake" });
    await using dir = await TempDir.make();
    const file = dir.file("stopped.gz");
    const recording = finish(run("record", server.url, "--for", "1h", "--out", file));
    await until(() => Promise.resolve(existsSync(file)));
    await server[Symbol.asyncDispose]();
    const { code, out } = await recording;
    assert.equal(code, exitCodes.ok);
    assert.match(out, /ended because the server stopped/);
  });

  test("wrong flags, and files that are no recordings, are told in words", async () => {
    await using dir = await TempDir.make();
    const file = dir.file("strange");
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [["record", "--for", "1s"], /required option '--out/],
      [["record", "--out", file, "--for", "2d"], /a day at most/],
      [["record", "--out", file, "--size-max", "0"], /whole number of MiB/],
      [["plan"], /missing required argument/],
      [["plan", file, "--pipelines", "0"], /whole numbers from 1/],
      [["plan", file, "--load", "x"], /numbers up to 100/],
      [["plan", file, "--policy", "best"], /Only these: millrace/],
      [["plan", file, "--p99", "soon"], /No time like/],
      [["plan", file], /no such file/],
    ];
    const told = await Promise.all(cases.map(async ([args]) => await finish(run(...args))));
    for (const [at, { err, code }] of told.entries()) {
      assert.match(err, cases[at]?.[1] ?? /^$/);
      assert.equal(code, exitCodes.usage);
    }
    const newer = { ...recordedHead(), version: 99 };
    await writeFile(file, gzipSync(`${JSON.stringify(newer)}\n`));
    const { err } = await finish(run("plan", file));
    assert.match(err, /^option_invalid: .*version 99; this millrace reads 1/);
  });

  test("attack: a policy that nobody knows is told in words, and types nothing into a terminal", async () => {
    await using dir = await TempDir.make();
    const file = dir.file("strange");
    const head = recordedHead();
    const strange = { ...head, options: { ...head.options, policy: "\u001b]0;best\u0007" } };
    await writeFile(file, gzipSync(`${JSON.stringify(strange)}\n`));
    const { err, code } = await finish(run("plan", file));
    assert.equal(code, exitCodes.usage);
    assert.match(
      err,
      /^option_invalid: .*the policy {2}\]0;best , which this millrace does not know/,
    );
  });

  test("the route is for whoever may administrate, and for servers with pipelines", async () => {
    await using front = await TestFront.start({}, { access: accessFor("one") });
    assert.equal((await fetch(`${front.url}/v1/record`)).status, 404);
    await using server = await TimedServer.start({ workers: "fake" });
    assert.equal((await fetch(`${server.url}/v1/record?seconds=x`)).status, 400);
    assert.equal((await fetch(`${server.url}/v1/record?for=1`)).status, 400);
    // Two pages of another site would have all the places that there are.
    const headers = { origin: "https://evil.example" };
    assert.equal((await fetch(`${server.url}/v1/record?seconds=1`, { headers })).status, 403);
  });
});
