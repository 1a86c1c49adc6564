/** Versions side by side in a real server: what a name means moves while callers ask, from a folder and from NATS, and nothing is lost with NATS. */
import assert from "node:assert/strict";
import { rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { connect } from "@nats-io/transport-node";
import { type CreateServerOptions, createServer, type MillraceServer } from "#src/index.js";
import { ModelBucket } from "#src/nats/model-bucket.js";
import { pushModel } from "#src/nats/push-model.js";
import { isLong, longTest } from "../support/long.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { startReady, until } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";
import { ask, Load, writeVersion } from "../support/versioned-models.js";

/** Without the folder of bundled models: what it serves it fetches. */
function startFetching(options: CreateServerOptions): Promise<MillraceServer> {
  return createServer({ port: 0, pipelines: 1, threads: 1, logLevel: "silent", ...options });
}

/** Of what the name means, under load: there and, at full size, back again. */
const moves = [
  ["2", "square"],
  ...(isLong
    ? ([
        ["1", "double"],
        ["2", "square"],
      ] as const)
    : []),
] as const;

const names = (server: MillraceServer): string[] =>
  server.views
    .models()
    .map(({ name }) => name)
    .toSorted();

test("versions in a folder: a name means the only one, or the one that defaults.json says, and moves while callers ask", async () => {
  await using dir = await TempDir.make();
  const models = dir.file("models");
  await writeVersion(dir.file("models", "m@1"), "double");
  await using server = await startReady({ models, modelsWatchMs: 0, cacheDir: dir.file("cache") });
  assert.deepEqual(names(server), ["m", "m@1"]);
  assert.equal(await ask(server.url, "m"), "double");
  await writeVersion(dir.file("models", "m@2"), "square");
  await writeFile(dir.file("models", "defaults.json"), '{"m": "1"}');
  assert.deepEqual((await server.reload()).added, ["m@2"]);
  assert.equal(await ask(server.url, "m@2"), "square");
  const load = new Load(server.url, "m", 4);
  for (const [version, answer] of moves) {
    await load.answered(16);
    await writeFile(dir.file("models", "defaults.json"), JSON.stringify({ m: version }));
    await server.reload();
    assert.equal(
      await ask(server.url, "m"),
      answer,
      "after it moved, whoever asks gets the new one",
    );
  }
  await load.answered(16);
  await load.end();
  // Who asked first had the old one, who asked last the new one.
  const order = load.answers
    .toSorted((left, right) => left.askedAtMs - right.askedAtMs)
    .map(({ answer }) => answer);
  assert.deepEqual([order[0], order.at(-1)], ["double", "square"]);
  assert.deepEqual(
    [await ask(server.url, "m@1"), await ask(server.url, "m@2")],
    ["double", "square"],
  );
  // A default that is not there changes nothing; one that is broken is named, and changes nothing.
  await writeFile(dir.file("models", "defaults.json"), "{");
  const { broken } = await server.reload();
  assert.match(JSON.stringify(broken), /defaults\.json is not JSON/);
});

longTest(
  "a plain folder keeps its name beside versions of it, and whoever names no model gets no old version",
  {},
  async () => {
    await using dir = await TempDir.make();
    await writeVersion(dir.file("models", "m"), "square");
    await writeVersion(dir.file("models", "m@1"), "double");
    await using server = await startReady({
      models: dir.file("models"),
      cacheDir: dir.file("cache"),
    });
    assert.deepEqual(names(server), ["m", "m@1"]);
    assert.equal(await ask(server.url, "m"), "square");
    assert.equal(await ask(server.url, "m@1"), "double");
  },
);

test("a node fetches what it is asked to serve; the default moves under load and back, and no request fails", {
  skip: skipWithoutNats,
}, async () => {
  await using dir = await TempDir.make();
  await using nats = await NatsServer.start();
  const connection = await connect({ servers: nats.url });
  const bucket = await ModelBucket.open(connection, { prefix: "millrace", replicas: 1 });
  const { signal } = new AbortController();
  const push = async (version: string, answer: "double" | "square"): Promise<void> => {
    const from = await writeVersion(dir.file("from", version), answer);
    await pushModel(bucket, { dir: from, name: "m", version, signal });
  };
  await push("1", "double");
  await bucket.moveDefault({ name: "m", version: "1" });
  const options = {
    nats: nats.url,
    natsModels: "m",
    cacheDir: dir.file("cache"),
    modelsWatchMs: 500,
  };
  {
    await using server = await startFetching({ ...options });
    assert.deepEqual(names(server), ["m", "m@1"], "the bundled models are not asked for");
    const load = new Load(server.url, "m", 4);
    await load.answered(8);
    await push("2", "square");
    await until(() => names(server).includes("m@2"));
    assert.equal(
      await ask(server.url, "m"),
      "double",
      "what is pushed is served beside, and means nothing yet",
    );
    for (const [version, answer] of moves) {
      await bucket.moveDefault({ name: "m", version });
      const answers = load.answers.length;
      await until(() => load.answers.slice(answers).some((each) => each.answer === answer));
      const movedAtMs = performance.now();
      await load.answered(16);
      const after = load.answers.filter(({ askedAtMs }) => askedAtMs > movedAtMs);
      assert.ok(
        after.every((each) => each.answer === answer),
        "once it has moved, nobody gets the old one",
      );
    }
    assert.equal(await ask(server.url, "m@1"), "double");
    await bucket.remove({ name: "m", version: "1" });
    await until(() => !names(server).includes("m@1"));
    await push("1", "square");
    await until(() => names(server).includes("m@1"));
    assert.equal(await ask(server.url, "m@1"), "square", "it is back, and is what it is now");
    await bucket.remove({ name: "m", version: "1" });
    await until(() => !names(server).includes("m@1"));
    assert.equal(await ask(server.url, "m"), "square");
    // The store is lost: what was fetched is served on.
    await nats.kill();
    await nats.start({ isEmpty: true });
    await load.answered(16);
    await load.end();
    assert.deepEqual(names(server), ["m", "m@2"]);
  }
  await connection.close();
  // NATS is away at the start: what is kept is served.
  await nats.stop();
  {
    await using server = await startFetching({ ...options });
    assert.equal(await ask(server.url, "m"), "square");
    // It comes with a store that somebody made anew: what that does not know is served on.
    await nats.start({ isEmpty: true });
    const again = await connect({ servers: nats.url });
    const other = await ModelBucket.open(again, { prefix: "millrace", replicas: 1 });
    await pushModel(other, {
      dir: await writeVersion(dir.file("from", "3"), "double"),
      name: "m",
      version: "3",
      signal,
    });
    await until(() => names(server).includes("m@3"));
    assert.deepEqual(names(server), ["m", "m@2", "m@3"]);
    await other.moveDefault({ name: "m", version: "3" });
    await until(() => ask(server.url, "m").then((answer) => answer === "double"));
    await again.close();
  }
  await rm(dir.file("cache"), { recursive: true });
  await nats.stop();
  await assert.rejects(startFetching({ ...options, startTimeoutMs: 300 }), {
    code: "not_ready",
    message: /NATS is not there/,
  });
});

test("what is damaged in the store, or not there, is named and serves nobody; the others serve", {
  skip: skipWithoutNats,
}, async () => {
  await using dir = await TempDir.make();
  await using nats = await NatsServer.start();
  const connection = await connect({ servers: nats.url });
  const bucket = await ModelBucket.open(connection, { prefix: "other", replicas: 1 });
  const { signal } = new AbortController();
  const options = {
    nats: nats.url,
    natsPrefix: "other",
    cacheDir: dir.file("cache"),
    modelsWatchMs: 300,
  };
  await using server = await startFetching({ ...options, natsModels: "good,bad@1,none" });
  assert.deepEqual(names(server), [], "nothing is there yet, and it waits for it");
  for (const name of ["good", "bad"]) {
    const from = await writeVersion(dir.file("from", name), name === "good" ? "double" : "square");
    const { record } = await pushModel(bucket, { dir: from, name, version: "1", signal });
    if (name === "good") await bucket.moveDefault(record);
    const [file] = record.files;
    if (name === "bad" && file !== undefined)
      await bucket.send({ ...file, bytes: 1 }, new Blob(["x"]).stream()).catch(() => {});
  }
  await until(() => server.views.models().some(({ name, ready }) => name === "good" && ready));
  assert.equal(await ask(server.url, "good"), "double");
  await until(() => server.views.ready().models.some(({ model }) => model === "none"));
  const told = JSON.stringify(server.views.ready().models.filter(({ ready }) => !ready));
  assert.match(told, /the store has no such model/);
  assert.ok(!told.includes(dir.path), "where it lies on the machine is nobody's to know");
  await connection.close();
});
