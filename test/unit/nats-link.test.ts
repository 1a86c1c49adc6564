import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { NatsLink, type NatsLinkOptions } from "#src/nats/connection.js";
import { makeCertificate } from "../support/certificate.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { TempDir } from "../support/temp-dir.js";

interface Told {
  readonly log: NatsLinkOptions["log"];
  readonly lines: string[];
}

function told(): Told {
  const lines: string[] = [];
  const write = (fields: object, message: string): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  return { lines, log: { info: write, warn: write } };
}

function optionsOf(nats: string, parts: Partial<NatsLinkOptions> = {}): NatsLinkOptions {
  const files = { natsCredentials: null, natsCa: null, natsCert: null, natsKey: null };
  return { nats, natsPrefix: "test", name: "test", log: told().log, ...files, ...parts };
}

function next(link: NatsLink, event: "onConnected" | "onAway"): Promise<void> {
  return new Promise((resolve) => {
    const stop = link.listen({
      [event]: () => {
        queueMicrotask(() => stop());
        resolve();
      },
    });
  });
}

test("it begins before there is a server, is connected when one comes, and comes back", {
  skip: skipWithoutNats,
}, async () => {
  await using server = await NatsServer.start();
  await server.stop();
  await using link = await NatsLink.open(optionsOf(server.url));
  assert.equal(link.connected, null);
  assert.throws(() => link.connection, { code: "not_ready" });
  const first = link.whenConnected();
  await server.start();
  const connection = await first;
  const heard: string[] = [];
  const got = new Promise<void>((resolve) => {
    connection.subscribe("test.there", {
      callback: (_error, message) => {
        heard.push(message.string());
        if (heard.length === 2) resolve();
      },
    });
  });
  connection.publish("test.there", "before");
  await connection.flush();
  const away = next(link, "onAway");
  await server.kill();
  await away;
  assert.equal(link.connected, null);
  assert.notEqual(link.reason, null);
  await server.start({ isEmpty: true });
  assert.equal(await link.whenConnected(), connection, "the same one, with what was subscribed");
  connection.publish("test.there", "after");
  await got;
  assert.deepEqual(heard, ["before", "after"]);
});

test("a wait ends with its signal, and with the link", async () => {
  const link = await NatsLink.open(optionsOf("nats://127.0.0.1:1"));
  const reason = new Error("enough");
  await assert.rejects(link.whenConnected(AbortSignal.abort(reason)), reason);
  const waiting = link.whenConnected();
  const ended = assert.rejects(waiting, { code: "draining" });
  await link.close();
  await ended;
  assert.equal(link.state, "closed");
});

test("user and password, token, and TLS with a client's certificate; no secret in the log", {
  skip: skipWithoutNats,
}, async () => {
  const pair = makeCertificate();
  await using dir = await TempDir.make();
  await writeFile(dir.file("cert.pem"), pair.cert);
  await writeFile(dir.file("key.pem"), pair.key);
  const cert = dir.file("cert.pem");
  const tls = { ...pair, ca: pair.cert };
  for (const parts of [{ user: "mill", password: "hush-hush" }, { token: "hush-token" }, { tls }]) {
    await using server = await NatsServer.start(parts);
    const { log, lines } = told();
    const files =
      "tls" in parts ? { natsCa: cert, natsCert: cert, natsKey: dir.file("key.pem") } : {};
    await using link = await NatsLink.open(optionsOf(server.url, { log, ...files }));
    const connection = await link.whenConnected();
    await connection.flush();
    assert.equal(lines.join("\n").includes("hush"), false, lines.join("\n"));
  }
});

test("who is refused says why, and is let in when NATS has learned of it", {
  skip: skipWithoutNats,
}, async () => {
  await using server = await NatsServer.start({ user: "mill", password: "right" });
  const refused = new Promise<string>((resolve) => {
    const log = { info: () => {}, warn: (fields: object) => resolve(JSON.stringify(fields)) };
    const url = server.url.replace("right", "wrong-secret");
    void NatsLink.open(optionsOf(url, { log })).then(async (link) => {
      await refused;
      await link.close();
    });
  });
  const line = await refused;
  assert.match(line, /authorization/i);
  assert.equal(line.includes("wrong-secret"), false);
});

test("what cannot be meant is refused before anything is dialled, and quotes no secret", async () => {
  const wrong: readonly [string, Partial<NatsLinkOptions>, RegExp][] = [
    ["http://a:hush@b", {}, /nats:\/\/ and tls:\/\//],
    ["nats://a:hush@b,nats://a:other-hush@c", {}, /different users/],
    ["nats://b,tls://c", {}, /TLS and without/],
    ["nats://a:hush@b/path", {}, /more or less/],
    ["nats://a:hush@[", {}, /none/],
    ["nats://b", { natsPrefix: "a.b" }, /nats-prefix/],
    ["nats://b", { natsCa: "/nowhere/ca.pem" }, /--nats-ca cannot be used/],
  ];
  for (const [url, parts, message] of wrong) {
    await assert.rejects(NatsLink.open(optionsOf(url, parts)), (error: Error) => {
      assert.match(error.message, message);
      assert.equal(error.message.includes("hush"), false);
      return "code" in error && error.code === "option_invalid";
    });
  }
});
