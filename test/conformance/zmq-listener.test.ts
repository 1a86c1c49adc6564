/** The listener under a protocol that is not ours: what any front over ZeroMQ can rely on. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { MillraceError } from "millrace-client/wire";
import { Push, Subscriber } from "zeromq";
import type { ZmqMessage } from "#src/listen/zmq/zmq-front.js";
import { anyCaller } from "#src/work/caller.js";
import { until } from "../support/real-server.js";
import { received, TestZmq } from "../support/zmq-front.js";

/** Says a message back to who is named in its first frame. */
function echo(message: ZmqMessage): void {
  const [topic = Buffer.alloc(0)] = message.frames;
  message.begin(topic, anyCaller);
  message.publish(topic, message.frames);
}

test("a reply is held until its topic is subscribed to, and its order is kept", async () => {
  await using zmq = await TestZmq.start(echo);
  const push = zmq.push();
  for (const part of ["1", "2", "3"]) await push.send(["late", part]);
  await until(() => zmq.counted.filter((each) => each === "replied 200").length === 3);
  // A beginning of the topic is another client's: what is held is not for it alone.
  const shorter = zmq.subscriber("la", "ready");
  await push.send(["ready", "0"]);
  // Its subscriptions are there, before the other client's may be.
  assert.deepEqual(await received(shorter), ["ready", "0"]);
  const subscriber = zmq.subscriber("late");
  for (const part of ["1", "2", "3"]) {
    assert.deepEqual(await received(subscriber), ["late", part]);
    assert.deepEqual(await received(shorter), ["late", part]);
  }
  assert.ok(zmq.counted.includes("shared"));
  assert.match(zmq.lines.join(""), /"shorter":"la","longer":"late"/);
});

test("two hundred fresh clients lose no reply", async () => {
  await using zmq = await TestZmq.start(echo);
  await Promise.all(
    Array.from({ length: 200 }, async (_, index) => {
      const topic = `client-${index}.`;
      const push = zmq.push();
      const subscriber = zmq.subscriber(topic);
      await push.send([topic, "x"]);
      assert.deepEqual(await received(subscriber), [topic, "x"]);
      push.close();
      subscriber.close();
    }),
  );
});

test("what nobody subscribes to is dropped in time, and its request has nobody who waits", async () => {
  let departed: AbortSignal | null = null;
  const hold = async (message: ZmqMessage): Promise<void> => {
    const [topic = Buffer.alloc(0), what] = message.frames;
    const asker = message.begin(topic, anyCaller);
    if (what?.toString() === "now") return message.publish(topic, [topic]);
    ({ departed } = asker);
    await until(() => asker.departed.aborted);
    throw new MillraceError("cancelled", "the caller left");
  };
  await using zmq = await TestZmq.start(hold, { zmqHoldMs: 20 });
  const push = zmq.push();
  await push.send(["nobody", "now"]);
  await push.send(["nobody", "later"]);
  await until(() => zmq.counted.includes("dropped unclaimed") && departed?.aborted === true);
  await until(() => zmq.counted.includes("replied 499"));
});

test("who shares a topic leaves with the last of them, and a moment later", async () => {
  let departed: AbortSignal | null = null;
  const hold = async (message: ZmqMessage): Promise<void> => {
    const [topic = Buffer.alloc(0)] = message.frames;
    const asker = message.begin(topic, anyCaller);
    ({ departed } = asker);
    await until(() => asker.departed.aborted);
  };
  await using zmq = await TestZmq.start(hold);
  const first = zmq.subscriber("shared", "sync");
  const second = zmq.subscriber("shared");
  const push = zmq.push();
  await push.send(["shared"]);
  const signal = await until(() => departed);
  const isAborted = (): boolean => signal.aborted;
  first.close();
  const third = zmq.subscriber("other");
  third.close();
  assert.equal(isAborted(), false);
  second.close();
  await until(isAborted);
});

test("defect: who comes back under its identity and subscribes late gets its reply, and its request goes on", async () => {
  let departed: AbortSignal | null = null;
  const answer = async (message: ZmqMessage): Promise<void> => {
    const [topic = Buffer.alloc(0), what = ""] = message.frames;
    if (what.toString() === "held") {
      ({ departed } = message.begin(topic, anyCaller));
      await delay(700);
    }
    message.publish(topic, [topic, what]);
  };
  const zmq = await TestZmq.start(answer);
  await using _ = zmq;
  const gone = zmq.subscriber("mine", "sync");
  const push = zmq.push();
  await push.send(["mine", "1"]);
  assert.deepEqual(await received(gone), ["mine", "1"]);
  gone.close();
  const later = zmq.subscriber("later");
  await push.send(["later", "1"]);
  await received(later);
  await push.send(["mine", "2"]);
  await push.send(["mine", "held"]);
  const signal = await until(() => departed);
  await delay(600);
  const back = zmq.subscriber("mine");
  assert.deepEqual(await received(back), ["mine", "2"]);
  assert.deepEqual(await received(back), ["mine", "held"]);
  assert.equal(signal.aborted, false);
});

test("who joins others in a topic gets its first reply, sent while it was on its way", async () => {
  const first = "1";
  const greet = (message: ZmqMessage): void => {
    const [topic = Buffer.alloc(0), what] = message.frames;
    const isFirst = what?.toString() === first;
    message.publish(topic, message.frames, { audience: isFirst ? "newcomers" : "subscribers" });
  };
  await using zmq = await TestZmq.start(greet);
  const one = zmq.subscriber("ours");
  const push = zmq.push();
  await push.send(["ours", "0"]);
  await push.send(["ours", first]);
  assert.deepEqual(await received(one), ["ours", "0"]);
  assert.deepEqual(await received(one), ["ours", first]);
  const other = zmq.subscriber("ours");
  assert.deepEqual(await received(other), ["ours", first]);
  await push.send(["ours", "2"]);
  assert.deepEqual(await received(other), ["ours", "2"]);
  assert.deepEqual(await received(one), ["ours", first]);
  assert.deepEqual(await received(one), ["ours", "2"]);
});

test("messages that are too many, too large or of too many frames", async () => {
  const held: (() => void)[] = [];
  const hold = async (message: ZmqMessage): Promise<void> => {
    const [topic = Buffer.alloc(0)] = message.frames;
    message.begin(topic, anyCaller);
    await new Promise<void>((resolve) => held.push(resolve));
  };
  await using zmq = await TestZmq.start(hold, { zmqRequestsMax: 2, bodyBytesMax: 1024 });
  const subscriber = zmq.subscriber("me");
  const push = zmq.push();
  await push.send(Array<string>(9).fill("frame"));
  await push.send(["me", Buffer.alloc(2000)]);
  assert.deepEqual(await received(subscriber), ["me", "body_too_large"]);
  for (let sent = 0; sent < 3; sent += 1) await push.send(["me"]);
  assert.deepEqual(await received(subscriber), ["me", "queue_full"]);
  // Never comes into memory; the connection is made anew.
  await push.send(["me", Buffer.alloc(5000)]);
  for (const release of held) release();
  await until(() => zmq.counted.filter((each) => each === "replied 200").length === 2);
  const other = zmq.push();
  await other.send(["me"]);
  await until(() => held.length === 3);
  held[2]?.();
  assert.deepEqual(
    zmq.counted.filter((each) => !each.startsWith("replied")),
    ["dropped malformed", "refused body_too_large", "refused queue_full"],
  );
});

test("replies that nobody takes are bounded in bytes and in time, and hold up nobody else", async () => {
  const body = Buffer.alloc(512 * 1024);
  const much = (message: ZmqMessage): void => {
    const [topic = Buffer.alloc(0)] = message.frames;
    message.begin(topic, anyCaller);
    message.publish(topic, [topic, body]);
  };
  await using zmq = await TestZmq.start(much, {
    zmqTopicBytesMax: 4 * body.length,
    replyTimeoutMs: 100,
  });
  const slow = new Subscriber({ linger: 0, receiveHighWaterMark: 1, receiveBufferSize: 4096 });
  await using _ = { [Symbol.asyncDispose]: async () => slow.close() };
  slow.subscribe("slow");
  slow.connect(zmq.listener.url.split(" → ")[1] ?? "");
  const push = zmq.push();
  await push.send(["slow"]);
  await slow.receive();
  for (let sent = 0; sent < 60; sent += 1) await push.send(["slow"]);
  const other = zmq.subscriber("other");
  await push.send(["other"]);
  assert.equal((await other.receive()).length, 2);
  await until(() => zmq.counted.includes("dropped bytes") && zmq.counted.includes("dropped slow"));
});

test("one who listens to everybody and reads nothing holds up nobody", async () => {
  const body = Buffer.alloc(512 * 1024);
  const much = (message: ZmqMessage): void => {
    const [topic = Buffer.alloc(0)] = message.frames;
    message.publish(topic, [topic, body]);
  };
  await using zmq = await TestZmq.start(much);
  const all = new Subscriber({ linger: 0, receiveHighWaterMark: 1, receiveBufferSize: 4096 });
  await using _ = { [Symbol.asyncDispose]: async () => all.close() };
  all.subscribe("");
  all.connect(zmq.listener.url.split(" → ")[1] ?? "");
  const reader = zmq.subscriber("reader");
  const push = zmq.push();
  await push.send(["reader"]);
  await Promise.all([reader.receive(), all.receive()]);
  for (let sent = 0; sent < 60; sent += 1) {
    await push.send(["reader"]);
    assert.equal((await reader.receive()).length, 2);
  }
  assert.ok(zmq.counted.includes("dropped slow"));
});

test("REQ and DEALER are answered, each in its own way", async () => {
  const answer = (message: ZmqMessage): void => message.reply(["OK", ...message.frames]);
  await using zmq = await TestZmq.start(answer, { front: { takes: "router" } });
  const dealer = zmq.dealer();
  await dealer.send(["text"]);
  assert.deepEqual(await received(dealer), ["OK", "text"]);
  await dealer.send(["", "text"]);
  assert.deepEqual(await received(dealer), ["", "OK", "text"]);
});

test("while it drains nothing new is taken, and what was taken is answered", async () => {
  const held: (() => void)[] = [];
  const hold = async (message: ZmqMessage): Promise<void> => {
    const [topic = Buffer.alloc(0)] = message.frames;
    message.begin(topic, anyCaller);
    await new Promise<void>((resolve) => held.push(resolve));
    message.publish(topic, [topic, "done"]);
  };
  await using zmq = await TestZmq.start(hold);
  const subscriber = zmq.subscriber("me");
  const push = zmq.push();
  await push.send(["me"]);
  await until(() => held.length === 1);
  const drained = zmq.listener.drained();
  await push.send(["me"]);
  assert.deepEqual(await received(subscriber), ["me", "draining"]);
  held[0]?.();
  assert.deepEqual(await received(subscriber), ["me", "done"]);
  await drained;
});

test("CURVE: a file of keys is made where there is none, and who has not the public one does not get in", async () => {
  const dir = await mkdtemp(join(tmpdir(), "millrace-curve-"));
  await using _ = { [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) };
  const file = join(dir, "server.key_secret");
  await using zmq = await TestZmq.start(echo, { zmqCurveSecretKeyFile: file });
  const [, publicKey = ""] = /public-key = "(.{40})"/.exec(await readFile(file, "utf8")) ?? [];
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  assert.match(zmq.lines.join(""), /"curvePublicKey":/);
  const { curveKeyPair } = await import("zeromq");
  const [into = "", out = ""] = zmq.listener.url.split(" → ");
  const own = curveKeyPair();
  const keys = { curvePublicKey: own.publicKey, curveSecretKey: own.secretKey, linger: 0 };
  const push = new Push({ ...keys, curveServerKey: publicKey });
  const subscriber = new Subscriber({ ...keys, curveServerKey: publicKey });
  const plain = new Push({ linger: 0 });
  await using __ = {
    [Symbol.asyncDispose]: async () => {
      for (const socket of [push, subscriber, plain]) socket.close();
    },
  };
  const refused = new Promise<void>((resolve) => {
    plain.events.on("handshake:error:protocol", () => resolve());
    plain.events.on("disconnect", () => resolve());
  });
  plain.connect(into);
  await refused;
  push.connect(into);
  subscriber.subscribe("me");
  subscriber.connect(out);
  await push.send(["me", "secret"]);
  assert.deepEqual(await received(subscriber), ["me", "secret"]);
  // The same file again: the same keys.
  await using again = await TestZmq.start(echo, { zmqCurveSecretKeyFile: file });
  assert.ok(again.lines.join("").includes(JSON.stringify(publicKey).slice(1, -1)));
});

test("an address that cannot be listened on is told by name", async () => {
  await using zmq = await TestZmq.start(echo);
  const port = Number(/:(\d+) →/.exec(zmq.listener.url)?.[1]);
  await assert.rejects(TestZmq.start(echo, { front: { port } }), {
    code: "EADDRINUSE",
    port,
    message: /cannot listen on 127\.0\.0\.1:\d+: /,
  });
});
