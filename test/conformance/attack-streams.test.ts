/** What one WebSocket could do to everybody else: keep places, hold the event loop, hear with a key that is gone. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { WebSocket } from "ws";
import { GuardedSubmit } from "#src/access/guarded-submit.js";
import type { FrontParts } from "#src/front/front.js";
import { PairSession } from "#src/front/streams/pair-session.js";
import { openStream } from "#src/front/streams/stream.js";
import { ReplyBudget } from "#src/listen/reply-budget.js";
import { Rounds } from "#src/listen/rounds.js";
import { ChannelWriter } from "#src/listen/websocket/channel-writer.js";
import type { Channel } from "#src/listen/websocket/websocket-front.js";
import { Metrics } from "#src/metrics/metrics.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { anyCaller } from "#src/work/caller.js";
import { EchoSubmit } from "../support/echo-submit.js";
import { TestFront } from "../support/http-front.js";
import { identity } from "../support/identity.js";
import { Keys } from "../support/keys.js";
import { until } from "../support/real-server.js";
import { WsClient } from "../support/ws-client.js";

const arrival = { atMs: performance.now(), bytes: 1 };

/** A channel without a socket: what was said on it, and whether it is held. */
class FakeChannel implements Channel {
  readonly id = "1";
  readonly caller = anyCaller;
  readonly query = new URLSearchParams();
  readonly said: (string | Buffer)[] = [];
  readonly #left = new AbortController();
  looks = 0;
  holds = 0;

  get closed(): AbortSignal {
    this.looks += 1;
    return this.#left.signal;
  }

  leave(): void {
    this.#left.abort();
  }

  say(text: string | Buffer): void {
    this.said.push(text);
  }

  keep(): void {}

  hold(): () => void {
    this.holds += 1;
    return () => {
      this.holds -= 1;
    };
  }

  close(): void {}

  begin(): null {
    return null;
  }

  told(thrown: unknown): never {
    throw thrown;
  }

  replied(): void {}
}

test("defect: outcomes for which no credit ever comes keep no place from others for ever", async () => {
  let nowMs = 0;
  const limits = { connectionsMax: 1, replyTimeoutMs: 20 };
  await using front = await TestFront.start(limits, { nowMs: () => nowMs });
  await using idle = await WsClient.open(`${front.url}/v1/stream`);
  idle.say({ type: "request", id: "1", task: "translate", texts: ["a"], credit: 0 });
  await idle.until(({ type }) => type === "accepted");
  await until(async () => {
    nowMs += 2_000;
    const response = await front.translate({ texts: ["b"] });
    await response.text();
    return response.status === 200;
  });
  assert.deepEqual(await idle.closed(), { code: 1013, reason: "others wait for a connection" });
  assert.equal(front.front.held().repliesBytes, 0);
});

test("attack: outcomes that waited for credit for long come when it comes at last", async () => {
  await using front = await TestFront.start({ replyTimeoutMs: 1 });
  await using client = await WsClient.open(`${front.url}/v1/stream`);
  client.say({ type: "request", id: "1", task: "translate", texts: ["a", "b"], credit: 0 });
  await client.until(({ type }) => type === "accepted");
  await new Promise((resolve) => setTimeout(resolve, 20));
  client.say({ type: "credit", id: "1", outcomes: 1 });
  await client.until(({ type }) => type === "outcome");
  client.say({ type: "credit", id: "1", outcomes: 1 });
  const rest = await client.until(({ type }) => type === "done");
  assert.deepEqual(
    rest.map(({ type }) => type),
    ["outcome", "done"],
  );
});

test("defect: one message of credit lets ten thousand outcomes go, in turns with all others", async () => {
  const submit = new EchoSubmit();
  const parts = {
    submit: new GuardedSubmit(submit),
    views: { identity, isDraining: false },
    tasks: [...submit.tasks].map(([name, form]) => ({ ...form, name })),
    options: resolveConfiguration({ code: { port: 0 } }).options,
    metrics: new Metrics(),
  } as unknown as FrontParts;
  const channel = new FakeChannel();
  const hearer = openStream(channel, parts);
  const texts = Array.from({ length: 10_000 }, (_, at) => String(at));
  const say = async (message: object): Promise<void> => {
    await hearer.onMessage(JSON.stringify(message), arrival);
  };
  await say({ type: "request", id: "1", task: "translate", texts, credit: 0 });
  await setImmediate();
  const before = channel.said.length;
  await say({ type: "credit", id: "1", outcomes: 1_000_000 });
  assert.ok(channel.said.length - before <= 128, `${channel.said.length} at once`);
  const last = /"done"/;
  await until(() => last.test(String(channel.said.at(-1))));
  const places = channel.said
    .map((text) => /"index":(\d+)/.exec(String(text))?.[1])
    .filter((place) => place !== undefined);
  assert.deepEqual(places, texts);
  assert.equal(channel.holds, 0);
});

test("defect: who leaves a session is not looked for among all that is under way in it", () => {
  const session = new PairSession();
  const feeds = Array.from({ length: 50 }, () => new FakeChannel());
  for (const feed of feeds) session.join(feed, "feed");
  const works = feeds.map((feed) => Array.from({ length: 50 }, () => session.begin(feed)));
  for (const feed of feeds) feed.looks = 0;
  feeds[0]?.leave();
  const looks = feeds.reduce((sum, feed) => sum + feed.looks, 0);
  assert.ok(looks <= 2 * feeds.length, `${looks} looks`);
  assert.deepEqual(
    works.map((own) => own.every(({ departed }) => departed.aborted)),
    feeds.map((feed) => feed === feeds[0]),
  );
  for (const own of works) for (const work of own) work.end();
  assert.ok(feeds.every(({ holds }) => holds === 0));
});

test("defect: a reply to a session is made once, whoever hears it", () => {
  const session = new PairSession();
  const [feed, ...revs] = Array.from({ length: 20 }, () => new FakeChannel());
  assert.ok(feed !== undefined);
  session.join(feed, "feed");
  for (const rev of revs) session.join(rev, "rev");
  const work = session.begin(feed);
  assert.ok(revs.every(({ holds }) => holds === 1));
  work.say("x".repeat(100_000));
  const all = new Set([feed, ...revs].flatMap(({ said }) => said));
  assert.equal(all.size, 1);
  assert.ok([...all][0] instanceof Buffer);
  work.end();
  assert.ok([feed, ...revs].every(({ holds }) => holds === 0));
});

test("defect: what many connections are told at once is written in turns", async () => {
  let sent = 0;
  const socket = {
    bufferedAmount: 0,
    send: (part: Buffer, _how: object, taken: () => void) => {
      sent += part.length;
      process.nextTick(taken);
    },
  } as unknown as WebSocket;
  const rounds = new Rounds();
  const budget = new ReplyBudget(1024 ** 3);
  const whole = Buffer.alloc(1024 * 1024, "x");
  const parts = { budget, rounds, stallMs: 60_000, onStall: assert.fail, onBehind: () => {} };
  const writers = Array.from({ length: 50 }, () => new ChannelWriter(socket, parts));
  for (const writer of writers) writer.say(whole);
  // All that follows without a turn of the event loop.
  await new Promise<void>((resolve) => {
    process.nextTick(() => process.nextTick(() => queueMicrotask(resolve)));
  });
  assert.ok(sent <= 3 * whole.length, `${sent} bytes in one turn`);
  await until(() => writers.every(({ isFree }) => isFree));
  assert.equal(sent, writers.length * whole.length);
  assert.equal(budget.heldBytes, 0);
  for (const writer of writers) writer.end();
});

test("defect: a connection whose key was revoked is closed: it hears no more of what others ask", async () => {
  await using keys = await Keys.make();
  const key = await keys.add("leaver");
  const stays = await keys.add("stays");
  await using echo = await keys.serve();
  const open = (path: string, word: string): Promise<WsClient<{ readonly type?: string }>> =>
    WsClient.open(`${echo.server.url}${path}`, { headers: { "x-api-key": word } });
  await using rev = await open("/rev?session=s", key);
  await using stream = await open("/v1/stream", key);
  await using other = await open("/v1/stream", stays);
  await other.next();
  await keys.revoke("leaver");
  for (const client of [rev, stream]) {
    assert.deepEqual(await client.closed(), { code: 1008, reason: "the key was revoked" });
  }
  other.say({ type: "ping" });
  assert.equal((await other.next()).type, "pong");
});
