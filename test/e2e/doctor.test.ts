/** `millrace doctor` at real servers, each in trouble of its own, and what the command does with what it saw. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { Millrace } from "millrace-client";
import { lookAt } from "#src/cli/doctor/look.js";
import { exitCodes } from "#src/cli/exit-codes.js";
import { diagnose } from "#src/doctor/doctor.js";
import { finish } from "../support/finish.js";
import { answerJson, serveHttp } from "../support/http-server.js";
import { millrace } from "../support/serve-process.js";
import { ClosedLoop, sentence } from "../support/situations/load.js";
import { readRecorded, recordedFile } from "../support/situations/recorded.js";
import { situations } from "../support/situations/situations.js";
import { TimedServer } from "../support/situations/timed-server.js";
import { someStatus } from "../support/some-status.js";
import { TempDir } from "../support/temp-dir.js";

/** Those that no other load on this machine changes, and so may be made side by side. */
const sideBySide: readonly string[] = [
  "healthy: just started, its model still loads",
  "a process that is killed again and again",
  "a model that cannot be loaded",
  "connections are used up",
  "a key is held to its rate",
];

// What else is on a machine changes the others: what was seen of them once, where nothing else was, is in unit/doctor.test.ts.
describe("situations of real servers", { concurrency: sideBySide.length }, () => {
  for (const { name, expected, skip = false, watch } of situations) {
    if (!sideBySide.includes(name)) continue;
    test(name, { skip, timeout: 60_000 }, async () => {
      const all = diagnose(await watch());
      // Several servers and their callers share one event loop here.
      const findings = all.filter(({ code }) => code !== "front-late");
      assert.equal(findings[0]?.code ?? null, expected, JSON.stringify(findings, null, 1));
    });
  }
});

function doctor(...args: readonly string[]): ChildProcess {
  return spawn(process.execPath, [millrace, "doctor", ...args], {
    stdio: ["pipe", "pipe", "pipe"],
  });
}

describe("the command", { concurrency: true }, () => {
  test("the command looks, keeps what it saw, and says the same of that again", async () => {
    await using server = await TimedServer.start({ workers: "fake" });
    await using dir = await TempDir.make();
    const [url, file] = [["--url", server.url], dir.file("window.json")];
    const live = await finish(doctor(...url, "--for", "1s", "--save", file));
    assert.deepEqual([live.code, live.err], [exitCodes.ok, ""]);
    assert.match(live.out, /^millrace .* · ready\nLooked for .*\n.*\n\nHealthy: .*\n$/);
    const again = await finish(doctor(file));
    assert.equal(again.out, live.out);
    const elsewhere = JSON.parse(await readFile(file, "utf8"));
    elsewhere.after.status.machine.lacks = ["time of pipelines: they hang for a minute"];
    const there = await finish(doctor("-"), JSON.stringify(elsewhere));
    assert.match(
      there.out,
      /\nIts system does not tell or do:\n {3}time of pipelines: they hang .*\n$/,
    );
    const piped = await finish(doctor("-", "--json"), await readFile(file, "utf8"));
    const { findings, account } = JSON.parse(piped.out);
    assert.deepEqual([findings, account.pipelines, piped.code], [[], 1, exitCodes.ok]);
    const taken = await finish(doctor(file, "--save", file));
    assert.match(taken.err, /^output_exists: /);
  });

  test("defect: a server is found by its address alone, and where serve would listen", async () => {
    await using server = await TimedServer.start({ workers: "fake" });
    const { MILLRACE_URL: _url, MILLRACE_CONFIG: _file, ...usual } = process.env;
    const env = { ...usual, MILLRACE_PORT: new URL(server.url).port };
    const [named, usually, both] = await Promise.all([
      finish(doctor(server.url, "--for", "1s")),
      finish(spawn(process.execPath, [millrace, "status", "--json"], { env })),
      finish(doctor(server.url, "--url", server.url)),
    ]);
    assert.match(named.out, /^millrace .* · ready\n/, named.err);
    assert.equal(JSON.parse(usually.out || usually.err).state, "ready");
    assert.match(both.err, /^option_invalid: .*: name one of them\n`millrace doctor --help` /);
  });

  test("problems have an exit code of their own, and each its evidence, change and expectation", async () => {
    await using dir = await TempDir.make();
    const recorded = readRecorded(readFileSync(recordedFile, "utf8"));
    const seen = recorded.find(({ name }) => name === "one tenant has the queue")?.window;
    await writeFile(dir.file("window.json"), JSON.stringify(seen));
    const { out, code } = await finish(doctor(dir.file("window.json")));
    assert.equal(code, exitCodes.problemsFound);
    assert.match(
      out,
      /\n1\. problem The tenant robot .*\[tenant-holds-queue\]\n(?: {5}\S.*\n)+ {3}change {2}\S.*\n {3}expect {2}\S/,
    );
    assert.match(out, /\n2\. problem .*\[pipelines-busy\]/);
  });

  test("what is no window is told with its place", async () => {
    const { err, code, out } = await finish(doctor("-"), '{"before": 7}');
    assert.deepEqual([code, out], [exitCodes.usage, ""]);
    assert.match(err, /^option_invalid: standard input: .*before is no object/);
    const missing = await finish(doctor("/nowhere/window.json"));
    assert.match(missing.err, /^option_invalid: \/nowhere\/window.json: there is no such file/);
    assert.match(missing.err, /\n`millrace doctor --help` has what it takes, and examples\.\n$/);
  });

  test("a server without the stream is asked again and again; Ctrl-C tells what was seen so far", async () => {
    await using server = await serveHttp((exchange) => {
      const error = { code: "not_found", message: "there is no such route", retryable: false };
      if (exchange.request.url === "/status") answerJson(exchange, 200, someStatus());
      else answerJson(exchange, 404, { error });
    });
    const child = doctor("--url", server.url, "--for", "1h", "--json");
    // The stream, a status, the nodes, and once more a status: the nodes are not asked for again.
    await server.arrived(4);
    child.kill("SIGINT");
    const { out, code } = await finish(child);
    assert.equal(code, exitCodes.interrupted);
    const { findings, account } = JSON.parse(out);
    assert.deepEqual([findings, account.pipelines], [[], 1]);
    const paths = server.exchanges.map(({ request }) => request.url);
    assert.deepEqual(paths.slice(0, 4), ["/status/events", "/status", "/v1/nodes", "/status"]);
  });

  test("attack: a file that is there already is told before an hour of looking, and Ctrl-C ends the waiting for input", async () => {
    await using server = await serveHttp(() => {});
    await using dir = await TempDir.make();
    await writeFile(dir.file("there.json"), "");
    const args = ["--url", server.url, "--for", "1h", "--save", dir.file("there.json")];
    const { err, code } = await finish(doctor(...args));
    assert.deepEqual([code, server.exchanges.length], [exitCodes.failed, 0]);
    assert.match(err, /^output_exists: /);
    const child = doctor("-");
    // More than a pipe holds: when all is taken, it reads.
    await new Promise((taken) => child.stdin?.write(Buffer.alloc(1024 * 1024, " "), taken));
    child.kill("SIGINT");
    const [ended] = (await once(child, "close")) as [unknown];
    assert.equal(ended, exitCodes.interrupted);
  });

  test("attack: a server that takes connections and says nothing is given up", async () => {
    await using server = await serveHttp(() => {});
    const { signal } = new AbortController();
    const looking = { url: server.url, forMs: 1_000, progress: false, signal, silenceMsMax: 100 };
    await assert.rejects(lookAt(looking), { code: "connection_failed" });
  });

  test("a server that is not there, and one whose status is of another kind", async () => {
    const away = await finish(doctor("--url", "http://127.0.0.1:1", "--for", "1s"));
    assert.equal(away.code, exitCodes.unreachable);
    const strange = { pipelines: [{}], nats: "connected", nodes: [] };
    await using server = await serveHttp((exchange) => answerJson(exchange, 200, strange));
    const told = await finish(doctor("--url", server.url, "--for", "1s"));
    assert.match(told.err, /^response_invalid: .*is no /);
  });

  test("who watches the status is told what is wrong", async () => {
    await using server = await TimedServer.start({ workers: "fake", connectionsMax: 1_000 });
    await using _ = new ClosedLoop(server.url, 2, () => ({
      body: { texts: [sentence(2)], model: "none" },
    }));
    await using client = new Millrace(server.url);
    for await (const { findings = [] } of client.watchStatus()) {
      const [first] = findings;
      if (first === undefined) continue;
      assert.deepEqual([first.code, first.severity], ["requests-wrong", "notice"]);
      assert.match(first.evidence.join(), /model_not_found \d+/);
      break;
    }
  });
});
