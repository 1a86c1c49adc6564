/** `GET /status/events` over a real connection. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { type Access, openAccess } from "#src/access/access.js";
import { StatusFeed } from "#src/metrics/status-feed.js";
import { anyCaller, type Caller } from "#src/work/caller.js";
import { accessFor, TestFront } from "../support/http-front.js";
import { someStatus } from "../support/some-status.js";
import { until } from "../support/until.js";

const everyMs = 1_000;

function feedOf(): StatusFeed {
  const feed = new StatusFeed(() => ({ status: someStatus(), nodes: null }), undefined, everyMs);
  feed.start();
  return feed;
}

test("what was, then each look; who leaves is watched for no more", async (t) => {
  // There is one look before somebody comes, and one when the test says so.
  const { timers } = t.mock;
  timers.enable({ apis: ["setInterval"] });
  using feed = feedOf();
  await using front = await TestFront.start({}, { feed });
  const leaving = new AbortController();
  const reply = await fetch(`${front.url}/status/events`, { signal: leaving.signal });
  assert.equal(reply.headers.get("content-type"), "text/event-stream");
  const events = eventsOf(reply);
  const history = await events.next();
  assert.equal(history.value?.name, "history");
  assert.equal(history.value?.data.samples.length, 1);
  timers.tick(everyMs);
  const status = await events.next();
  assert.equal(status.value?.name, "status");
  assert.deepEqual(status.value?.data.status, someStatus());
  assert.equal(status.value?.data.sample.pipelines[0]?.restarts, 2);
  leaving.abort();
  await until(() => {
    timers.tick(everyMs);
    return feed.watching === 0;
  });
});

test("the end of the server is the end of the stream", async () => {
  const feed = feedOf();
  await using front = await TestFront.start({}, { feed });
  const reply = await fetch(`${front.url}/status/events`);
  feed[Symbol.dispose]();
  assert.match(await reply.text(), /event: history\n/);
});

test("so many looks as are asked for, and then the end", async () => {
  using feed = feedOf();
  await using front = await TestFront.start({}, { feed });
  const reply = await fetch(`${front.url}/status/events?looks=1`);
  const names = [];
  for await (const { name } of eventsOf(reply)) names.push(name);
  assert.deepEqual(names, ["history", "status"]);
  const wrong = await fetch(`${front.url}/status/events?look=1`);
  assert.match(await wrong.text(), /looks/);
});

test("one watcher too many is refused, and the others watch on", async () => {
  using feed = feedOf();
  const watches = Array.from({ length: 100 }, () => feed.watch());
  await using front = await TestFront.start({}, { feed });
  const refused = await fetch(`${front.url}/status/events`);
  assert.equal(refused.status, 503);
  assert.match(await refused.text(), /"too_many_connections"/);
  watches[0]?.[Symbol.dispose]();
  const leaving = new AbortController();
  const reply = await fetch(`${front.url}/status/events`, { signal: leaving.signal });
  assert.equal(reply.status, 200);
  leaving.abort();
});

test("a key without the right to administrate sees nothing", async () => {
  using feed = feedOf();
  await using front = await TestFront.start({}, { feed, access: accessFor("one") });
  const headers = { authorization: "Bearer one" };
  assert.equal((await fetch(`${front.url}/status/events`, { headers })).status, 403);
  assert.equal((await fetch(`${front.url}/status/events`)).status, 401);
});

test("attack: who asks for the head has it, and the connection is free for the next request", async () => {
  using feed = feedOf();
  await using front = await TestFront.start({}, { feed });
  const connection = await front.raw();
  const request = (method: string, path: string): string =>
    `${method} ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;
  connection.send(request("HEAD", "/status/events") + request("GET", "/live"));
  const received = await connection.until(/"live":true/);
  assert.match(received, /^HTTP\/1\.1 200 .*text\/event-stream/s);
  await until(() => feed.watching === 0);
});

test("attack: a key that is revoked, or may no longer administrate, sees nothing more", async () => {
  let [caller, onChange]: [Caller | null, () => void] = [{ ...anyCaller, keyId: "one" }, () => {}];
  const renewed = (): Caller => {
    if (caller === null) throw new MillraceError("unauthenticated", "The key is gone.");
    return caller;
  };
  const access: Access = {
    ...openAccess,
    isOpen: false,
    callerOf: renewed,
    renewed,
    onChange: (listener) => {
      onChange = listener;
      return () => {};
    },
  };
  using feed = feedOf();
  await using front = await TestFront.start({}, { feed, access });
  for (const next of [{ ...anyCaller, isAdmin: false }, null]) {
    caller = anyCaller;
    const reply = await fetch(`${front.url}/status/events`);
    const events = eventsOf(reply);
    assert.equal((await events.next()).value?.name, "history");
    onChange();
    assert.equal((await events.next()).value?.name, "status", "other keys may change");
    caller = next;
    onChange();
    assert.equal((await events.next()).done, true);
    await until(() => feed.watching === 0);
  }
});

/** What is looked at of either event. */
interface Told {
  readonly samples: readonly unknown[];
  readonly status: unknown;
  readonly sample: { readonly pipelines: readonly { readonly restarts: number }[] };
}

async function* eventsOf(
  reply: Response,
): AsyncGenerator<{ readonly name: string; readonly data: Told }> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of reply.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n\n"); end !== -1; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const [name, data] = ["event: ", "data: "].map((field) =>
        lines.find((line) => line.startsWith(field))?.slice(field.length),
      );
      if (name !== undefined && data !== undefined) yield { name, data: JSON.parse(data) };
    }
  }
}
