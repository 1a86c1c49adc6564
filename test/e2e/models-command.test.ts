/** `millrace models` as an operator meets it, on a real NATS server that asks for a password. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { connect } from "@nats-io/transport-node";
import { exitCodes } from "#src/cli/exit-codes.js";
import { ModelBucket } from "#src/nats/model-bucket.js";
import { longTest } from "../support/long.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { until } from "../support/real-server.js";
import { millrace as main } from "../support/serve-process.js";
import { TempDir } from "../support/temp-dir.js";
import { writeVersion } from "../support/versioned-models.js";

async function models(args: readonly string[], variables: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [main, "models", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...variables },
  });
  const streams = [text(child.stdout), text(child.stderr)] as const;
  const [out, err, [code]] = await Promise.all([...streams, once(child, "close")]);
  return { out, err, code: code as unknown };
}

test("push, list, pull, default: what comes back is what went, and a name means what was said", {
  skip: skipWithoutNats,
}, async () => {
  await using dir = await TempDir.make();
  await using nats = await NatsServer.start({ user: "millrace", password: "word" });
  const at = { MILLRACE_NATS: nats.url };
  const from = await writeVersion(dir.file("m"), "double");
  const none = await models(["list"], at);
  assert.deepEqual([none.code, none.out], [exitCodes.failed, ""]);
  assert.match(none.err, /^model_not_found: .*the first push makes it/);
  const pushed = await models(["push", from, "--as", "m@1", "--json"], at);
  assert.deepEqual([pushed.code, pushed.err], [exitCodes.ok, ""]);
  const { sha256, isDefault, sentFiles } = JSON.parse(pushed.out) as Record<string, unknown>;
  assert.deepEqual([isDefault, sentFiles], [true, 1]);
  const named = await models(["push", from], at);
  assert.match(
    named.out,
    new RegExp(`^m@${String(sha256).slice(0, 12)}: 0 files .*sent, 1 were there\n$`),
  );
  const moved = await models(["default", `m@${String(sha256).slice(0, 12)}`, "--from", "2"], at);
  assert.deepEqual([moved.code, moved.out], [exitCodes.outputInUse, ""]);
  const listed = await models(["list", "--nats", nats.url]);
  assert.match(listed.out, /^ {3}model .*\n {3}m@[0-9a-f]{12} .*\n\* {2}m@1 /);
  const pulled = await models(["pull", "m", "--out", dir.file("back")], at);
  assert.equal(pulled.code, exitCodes.ok, pulled.err);
  assert.deepEqual(await readdir(dir.file("back")), ["model.onnx"]);
  assert.deepEqual(
    await readFile(dir.file("back", "model.onnx")),
    await readFile(dir.file("m", "model.onnx")),
  );
});

test("defect: where something listens that is no NATS and says nothing, the command never ended, by Ctrl-C neither", async () => {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket)).listen(0, "127.0.0.1");
  await once(silent, "listening");
  try {
    const { port } = silent.address() as AddressInfo;
    const args = [main, "models", "list", "--nats", `nats://127.0.0.1:${port}`];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    const ended = Promise.all([text(child.stderr), once(child, "close")]);
    await until(() => sockets.length > 0);
    child.kill("SIGINT");
    assert.deepEqual(await ended, ["", [exitCodes.interrupted, null]]);
  } finally {
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
});

test("defect: Ctrl-C of a push was a bug's stack while it read, and a lost connection while it sent", {
  skip: skipWithoutNats,
}, async () => {
  await using dir = await TempDir.make();
  await using nats = await NatsServer.start();
  const from = await writeVersion(dir.file("m"), "double");
  // Nothing on this disk, and seconds to read.
  await writeFile(dir.file("m", "weights.bin"), "");
  await truncate(dir.file("m", "weights.bin"), 2 ** 32);
  const args = [main, "models", "push", from, "--as", "m@1", "--nats", nats.url];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const streams = [text(child.stdout), text(child.stderr)] as const;
  const connection = await connect({ servers: nats.url });
  try {
    // From then on the folder is read.
    const bucket = await until(() => ModelBucket.find(connection, "millrace"));
    child.kill("SIGINT");
    const [out, err, [code]] = await Promise.all([...streams, once(child, "close")]);
    assert.deepEqual([out, err, code], ["", "", exitCodes.interrupted]);
    assert.deepEqual((await bucket.list()).records, []);
  } finally {
    await connection.close();
  }
});

longTest(
  "what is wrong is said before anything is sent: no NATS, a wrong password, no model, no name",
  {
    skip: skipWithoutNats,
  },
  async () => {
    await using dir = await TempDir.make();
    const without = await models(["list"], { MILLRACE_NATS: "" });
    assert.deepEqual([without.code, without.out], [exitCodes.usage, ""]);
    const nowhere = await models(["push", dir.path, "--nats", "nats://127.0.0.1:1"]);
    assert.equal(nowhere.code, exitCodes.failed);
    assert.match(nowhere.err, /^model_folder_invalid/);
    const wrong = await models([
      "push",
      await writeVersion(dir.file("m"), "double"),
      "--as",
      "../m",
      "--nats",
      "nats://127.0.0.1:1",
    ]);
    assert.equal(wrong.code, exitCodes.usage);
  },
);
