/** `millrace profile` where its files, its server or its user are difficult. */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, readdir } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { ProfileResponse } from "millrace-client/wire";
import { exitCodes } from "#src/cli/exit-codes.js";
import { Profiles } from "#src/profile/profiles.js";
import { accessFor, TestFront } from "../support/http-front.js";
import { PrefixProxy } from "../support/prefix-proxy.js";
import { millrace } from "../support/serve-process.js";
import { TempDir } from "../support/temp-dir.js";
import { until } from "../support/until.js";

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

/** The command with these flags, to its end. */
function command(...flags: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [millrace, "profile", ...flags],
      (_, out, error): void => resolve({ code: child.exitCode, out, error }),
    );
  });
}

const stillServer = {
  ofPipeline: () => null,
  pipelineIds: () => [],
  stages: () => [],
  isDraining: () => false,
  hasOthers: () => false,
};

const answer: ProfileResponse = {
  of: "front",
  askedMs: 1_000,
  sampledMs: 1,
  everyMs: 1,
  stoodStillMs: { start: 0, stop: 0 },
  nodes: [{ parent: -1, name: "all", file: "", line: 0, kind: "node", selfMs: 1 }],
  graphs: [],
  stages: [],
};

test("defect: a server that is named twice is refused, by every command that takes it as an argument", async () => {
  const refusals = ["profile", "record", "doctor"].map(async (name) => {
    const flags = name === "record" ? ["--out", "x"] : [];
    const asked = [millrace, name, "http://a:1", "--url", "http://b:2", ...flags];
    const child = spawn(process.execPath, asked, { stdio: ["ignore", "ignore", "pipe"] });
    const error = await textOf(child);
    assert.equal(child.exitCode, exitCodes.usage, `${name}: ${error}`);
    assert.match(error, /http:\/\/a:1 and --url: name one of them/);
  });
  await Promise.all(refusals);
});

async function textOf(child: ChildProcess): Promise<string> {
  let text = "";
  child.stderr?.setEncoding("utf8").on("data", (some: string) => {
    text += some;
  });
  await once(child, "close");
  return text;
}

test("defect: a file that cannot be written is told before the profile, and on a full disk what was seen is told", async () => {
  await using front = await TestFront.start({}, { profiles: new Profiles(stillServer) });
  await using dir = await TempDir.make();
  await mkdir(dir.file("millrace-front.svg"));
  const refused = await command(front.url, "--seconds", "60", "--out", dir.path);
  assert.equal(refused.code, exitCodes.usage, refused.error);
  assert.match(refused.error, /--out cannot be written: .*millrace-front\.svg is a folder/);
  if (process.platform !== "linux") return;
  const asked = ["--seconds", "1", "--format", "svg", "--out", "/dev/full"];
  const full = await command(front.url, ...asked);
  assert.equal(full.code, exitCodes.failed, full.error);
  assert.match(full.error, /output_failed.*ENOSPC/s);
  assert.match(full.out, /^front: \d/);
  assert.doesNotMatch(full.out, /written:/);
  // Or where the tables themselves go to such a disk.
  await using out = await open("/dev/full", "w");
  const flags = [millrace, "profile", front.url, "--seconds", "1", "--out", dir.file("other")];
  const child = spawn(process.execPath, flags, { stdio: ["ignore", out.fd, "pipe"] });
  assert.equal(
    await textOf(child),
    "option_invalid: standard output cannot be written to (ENOSPC)\n",
  );
  assert.equal(child.exitCode, exitCodes.failed);
});

test("a server behind a path prefix is profiled there", async () => {
  await using front = await TestFront.start({}, { profiles: new Profiles(stillServer) });
  await using proxy = await PrefixProxy.start(front.url, "/inference");
  await using dir = await TempDir.make();
  const { code, out, error } = await command(proxy.url, "--seconds", "1", "--out", dir.path);
  assert.equal(code, exitCodes.ok, error);
  assert.match(out, /^front: .*written: .*millrace-front\.svg/s);
  assert.deepEqual((await readdir(dir.path)).sort(), [
    "millrace-front.speedscope.json",
    "millrace-front.svg",
  ]);
});

test("a key that may not administrate, seconds that are none, and a server that is not there: each says so", async () => {
  const access = accessFor("one");
  await using front = await TestFront.start({}, { profiles: new Profiles(stillServer), access });
  await using dir = await TempDir.make();
  const key = await command(front.url, "--key", "one", "--out", dir.path);
  assert.notEqual(key.code, 0);
  assert.match(key.error, /forbidden/);
  const refusals = ["0", "61", "1.5"].map(async (seconds) => {
    const { code, error } = await command(front.url, "--seconds", seconds, "--out", dir.path);
    assert.equal(code, exitCodes.usage, error);
    assert.match(error, /Not a whole number from 1 to 60/);
  });
  await Promise.all(refusals);
  const nobody = await command("http://127.0.0.1:1", "--out", dir.path);
  assert.match(nobody.error, /connection_failed/);
});

test("defect: Ctrl-C while the request is on its way ends the profile all the same", async () => {
  let [ends, isEnded] = [0, false];
  const held: (() => void)[] = [];
  const server = createServer((request, response) => {
    const reply = (body: object): void => {
      response.setHeader("content-type", "application/json").end(JSON.stringify(body));
    };
    if (request.method === "POST") {
      held.push(() => reply(answer));
      return;
    }
    ends += 1;
    // As if the request had not come in before the third.
    isEnded = ends === 3;
    reply({ ended: isEnded });
    if (isEnded) for (const release of held) release();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  await using dir = await TempDir.make();
  const { port } = server.address() as AddressInfo;
  const flags = [millrace, "profile", `http://127.0.0.1:${port}`, "--out", dir.path];
  const child = spawn(process.execPath, flags, { stdio: ["ignore", "ignore", "pipe"] });
  const said = textOf(child);
  await until(() => held.length === 1);
  child.kill("SIGINT");
  assert.match(`${await said}`, /^$/);
  assert.equal(child.exitCode, exitCodes.interrupted);
  assert.equal(ends, 3);
  server.close();
});
