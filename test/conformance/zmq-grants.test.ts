/** Who may read what over ZeroMQ where keys are asked for. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Subscriber, XSubscriber } from "zeromq";
import { openAccess } from "#src/access/access.js";
import { grantsOfSubscription } from "#src/front/ectransformer/read-task.js";
import { createServer, type MillraceServer } from "#src/index.js";
import type { ZmqMessage } from "#src/listen/zmq/zmq-front.js";
import { anyCaller } from "#src/work/caller.js";
import { type BertPorts, BertSockets, bertPortsOf } from "../support/bert-clients.js";
import { Keys } from "../support/keys.js";
import { encoderWidth, writeMadeEncoder } from "../support/made-encoder.js";
import { until } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";
import { received, TestZmq } from "../support/zmq-front.js";

let temp: TempDir;
let keys: Keys;
let server: MillraceServer;
let ports: BertPorts;
const lines: string[] = [];

before(async () => {
  temp = await TempDir.make();
  keys = await Keys.make();
  await keys.add("first");
  await writeMadeEncoder(temp.file("made"), { inputTokensMax: 64 });
  server = await createServer({
    models: temp.path,
    port: 0,
    bertPort: 0,
    bertPortOut: 0,
    bertModel: "made",
    pipelines: 1,
    threads: 1,
    keys: keys.path,
    log: "json",
    logDestination: { write: (line) => void lines.push(line) },
  });
  ports = bertPortsOf(lines);
});

after(async () => {
  await server.close();
  await keys[Symbol.asyncDispose]();
  await temp[Symbol.asyncDispose]();
});

async function usable(key: string): Promise<string> {
  using sockets = new BertSockets(ports, `${key}.try`);
  await until(async () => (await sockets.config())["server_version"] === "1.10.0");
  return key;
}

test("defect: with keys, whoever subscribed to everything read the keys of all others", async () => {
  const key = await usable(await keys.add("one"));
  const other = await usable(await keys.add("other"));
  const spy = new Subscriber({ linger: 0 });
  await using _ = { [Symbol.asyncDispose]: async () => spy.close() };
  spy.subscribe("", "m", "mr_", key.slice(0, 8), `${other}.spy`);
  spy.connect(`tcp://127.0.0.1:${ports.portOut}`);
  using own = new BertSockets(ports, `${other}.spy`);
  await own.config();
  assert.equal((await spy.receive())[0]?.toString(), `${other}.spy`);
  for (const identity of [`${key}.1`, `${key}.22`, key]) {
    using sockets = new BertSockets(ports, identity);
    assert.equal((await sockets.config())["server_version"], "1.10.0");
    assert.deepEqual((await sockets.encode(["hello"])).shape, [1, encoderWidth]);
  }
  await own.config();
  assert.equal((await spy.receive())[0]?.toString(), `${other}.spy`, "nobody else's");
  const log = lines.join("");
  assert.match(log, /subscriptions refused/);
  assert.ok(!log.includes(key) && !log.includes(other), "the log names no key");
});

test("with keys, two of one identity both read its replies, and who has no key is told so", async () => {
  const key = await usable(await keys.add("shared"));
  using first = new BertSockets(ports, `${key}.same`);
  using second = new BertSockets(ports, `${key}.same`);
  await first.config();
  await second.config();
  const id = await first.send(["hello"]);
  for (const sockets of [first, second]) {
    await until(async () => Number((await sockets.receive()).at(-1)) === id);
  }
  for (const identity of ["user1", "mr_wrong.1", `mr_${"x".repeat(43)}`]) {
    using stranger = new BertSockets(ports, identity);
    assert.match(String((await stranger.config())["server_version"]), /^unauthenticated: /);
  }
});

/** As the first reply to a client is published: who had its identity a moment ago may seem to be there still. */
function echo(message: ZmqMessage): void {
  const [topic = Buffer.alloc(0)] = message.frames;
  message.publish(topic, message.frames, { audience: "newcomers" });
}

const closed = { ...openAccess, isOpen: false };

test("attack: with keys, two hundred fresh clients at once lose no reply, and none gets another's", async () => {
  await using zmq = await TestZmq.start(echo, { access: closed });
  for (let round = 0; round < 2; round += 1) {
    await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        // The same ones again: who has left takes nothing from who comes back.
        const topic = `client-${index}.`;
        const push = zmq.push();
        const subscriber = zmq.subscriber(topic);
        await push.send([topic, "x"]);
        assert.deepEqual(await received(subscriber), [topic, "x"]);
        push.close();
        subscriber.close();
      }),
    );
  }
});

test("attack: messages in place of subscriptions give nobody the subscription of another", async () => {
  const grantsOf = (subscription: string): readonly string[] =>
    subscription.startsWith("secret") ? [subscription] : [];
  await using zmq = await TestZmq.start(echo, { access: closed, front: { grantsOf } });
  const out = zmq.listener.url.split(" → ")[1] ?? "";
  const attacker = new XSubscriber({ linger: 0 });
  await using _ = { [Symbol.asyncDispose]: async () => attacker.close() };
  attacker.connect(out);
  const got: string[] = [];
  const reading = (async () => {
    for await (const [topic] of attacker) got.push(topic?.toString() ?? "");
  })();
  let isOver = false;
  const flooding = (async () => {
    while (!isOver) {
      for (let sent = 0; sent < 20; sent += 1) await attacker.send(["no subscription"]);
      await attacker.send(["\u0001mine"]);
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  // Under attack a fresh client may have to come again; what it never has is another's reply.
  for (let client = 0; client < 30; client += 1) {
    const topic = `secret-${client}.`;
    const subscriber = zmq.subscriber(topic);
    const push = zmq.push();
    await push.send([topic, "x"]);
    const answered = subscriber.receive().then(
      ([frame]) => assert.equal(frame?.toString(), topic),
      () => {},
    );
    await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, 10))]);
    subscriber.close();
    await answered;
  }
  isOver = true;
  await flooding;
  assert.deepEqual(got, []);
  attacker.close();
  await reading;
  // And when it is over, and what is left of it was read, everybody is served.
  let tries = 0;
  await until(async () => {
    const topic = `secret-after-${tries++}.`;
    const subscriber = zmq.subscriber(topic);
    const push = zmq.push();
    await push.send([topic, "x"]);
    const answered = subscriber.receive().then(
      ([frame]) => frame?.toString() === topic,
      () => false,
    );
    const isServed = await Promise.race([answered, delay(200).then(() => false)]);
    subscriber.close();
    push.close();
    return isServed;
  });
});

test("who shares a topic leaves with the last of them, where each subscription is granted too", async () => {
  let departed: AbortSignal | null = null;
  const hold = async (message: ZmqMessage): Promise<void> => {
    const [topic = Buffer.alloc(0)] = message.frames;
    const asker = message.begin(topic, anyCaller);
    ({ departed } = asker);
    // Also to the one of the two who is subscribed last.
    message.publish(topic, [topic, "begun"], { audience: "newcomers" });
    await until(() => asker.departed.aborted);
  };
  await using zmq = await TestZmq.start(hold, { access: closed });
  const first = zmq.subscriber("shared");
  const second = zmq.subscriber("shared");
  const push = zmq.push();
  await push.send(["shared"]);
  await received(first);
  await received(second);
  const signal = await until(() => departed);
  first.close();
  const third = zmq.subscriber("other");
  await push.send(["other"]);
  await received(third);
  assert.equal(signal.aborted, false);
  second.close();
  await until(() => signal.aborted);
});

test("with keys, clients of ECTrans read the results of their own task only", () => {
  const client = '{"client_id":"';
  for (const all of ["", "{", client.slice(0, 9), client, '{"id":"']) {
    assert.deepEqual(grantsOfSubscription(all), [], all);
  }
  const grants = grantsOfSubscription(`${client}12`);
  const reads = (message: string): boolean => grants.some((each) => message.startsWith(each));
  assert.ok(reads(`${client}12_0","result":[]}`));
  assert.ok(!reads(`${client}123_0","result":[]}`));
  assert.deepEqual(grantsOfSubscription('{"id":"7_3'), ['{"id":"7_3']);
});
