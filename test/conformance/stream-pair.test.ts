/** `/feed` and `/rev`: the pair of the first plan. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { accessFor, TestFront } from "../support/http-front.js";
import { identity } from "../support/identity.js";
import { WsClient, type WsOptions } from "../support/ws-client.js";

interface Reply {
  readonly id: string | number | null;
  readonly error?: { readonly code: string; readonly param?: string };
  readonly results?: readonly { readonly text?: string; readonly error?: object }[];
  readonly model?: string;
  readonly deployment?: object;
}

function open(front: TestFront, path: string, options: WsOptions = {}): Promise<WsClient<Reply>> {
  return WsClient.open<Reply>(`${front.url}${path}`, options);
}

function shown({ id, error, results }: Reply): string {
  const texts = results?.map((result) => result.text ?? "!").join(",");
  return `${id} ${error?.code ?? texts ?? ""}`;
}

test("a request a message, one reply with its id, as it is ready", async () => {
  await using front = await TestFront.start();
  await using feed = await open(front, "/feed");
  feed.say({ id: 7, texts: ["one", "!two"] });
  const reply = await feed.next();
  assert.equal(shown(reply), "7 eno,!");
  assert.deepEqual([reply.model, reply.deployment], ["echo", identity]);
  feed.say({ id: "a", model: "echo", texts: "three" });
  assert.equal(shown(await feed.next()), "a eerht");
  feed.say({ id: "b", task: "look", images: ["YWJj"] });
  assert.deepEqual((await feed.next()).results, [{ bytes: 3 }]);
});

test("replies go to the feed and to every rev of its session, and to nobody else", async () => {
  await using front = await TestFront.start();
  await using feed = await open(front, "/feed?session=s");
  await using rev = await open(front, "/rev?session=s");
  await using second = await open(front, "/rev?session=s");
  await using other = await open(front, "/rev?session=t");
  await using alone = await open(front, "/feed");
  feed.say({ id: 1, texts: ["one"] });
  for (const client of [feed, rev, second]) assert.equal(shown(await client.next()), "1 eno");
  alone.say({ id: 2, texts: ["two"] });
  assert.equal(shown(await alone.next()), "2 owt");
  // Nothing of session s or of nobody's came to these: the first that they hear is their own.
  other.say({});
  assert.equal(shown(await other.next()), "null bad_request");
  rev.say({});
  assert.equal(shown(await rev.next()), "null bad_request");
});

test("with keys a session is its caller's", async () => {
  await using front = await TestFront.start({}, { access: accessFor("mine", "theirs") });
  const key = (name: string): WsOptions => ({ headers: { "x-api-key": name } });
  await using feed = await open(front, "/feed?session=s", key("mine"));
  await using rev = await open(front, "/rev?session=s", {
    protocols: ["millrace.v1", "millrace.key.mine"],
  });
  await using theirs = await open(front, "/rev?session=s", key("theirs"));
  feed.say({ id: 1, texts: ["one"] });
  assert.equal(shown(await rev.next()), "1 eno");
  theirs.say({});
  assert.equal(shown(await theirs.next()), "null bad_request");
  await assert.rejects(open(front, "/rev?session=s"), /401/);
});

test("work ends when nobody is left who would hear of it, and not before", async () => {
  await using front = await TestFront.start();
  front.submit.hold();
  await using feed = await open(front, "/feed?session=s");
  await using rev = await open(front, "/rev?session=s");
  await using neighbour = await open(front, "/feed?session=s");
  feed.say({ id: 1, texts: ["one"] });
  feed.say({ id: 2, texts: ["two"] });
  await front.submit.arrived(2);
  await using late = await open(front, "/rev?session=s");
  feed.ws.terminate();
  await feed.closed();
  front.submit.release();
  assert.equal(shown(await rev.next()), "1 eno");
  assert.equal(shown(await late.next()), "1 eno");
  front.submit.hold();
  neighbour.say({ id: 3, texts: ["three"] });
  await front.submit.arrived(3);
  for (const client of [rev, late, neighbour]) client.ws.terminate();
  const signal = front.submit.seen[2]?.signal;
  assert.ok(signal !== undefined);
  if (!signal.aborted) await once(signal, "abort");
});

test("what is wrong with a message is told with its id where it has one", async () => {
  await using front = await TestFront.start();
  await using feed = await open(front, "/feed");
  const bad: readonly (readonly [object | string, string])[] = [
    ["nothing", "null bad_request"],
    [{ texts: ["a"] }, "null bad_request"],
    [{ id: 1.5, texts: ["a"] }, "null bad_request"],
    [{ id: 1, task: "sing" }, "1 bad_request"],
    [{ id: 1, texts: ["a"], session: "s" }, "1 bad_request"],
    [{ id: 1 }, "1 bad_request"],
  ];
  for (const [message, expected] of bad) {
    feed.ws.send(typeof message === "string" ? message : JSON.stringify(message));
    assert.equal(shown(await feed.next()), expected, JSON.stringify(message));
  }
  await assert.rejects(open(front, "/rev"), /400/);
  await assert.rejects(open(front, `/feed?session=${"x".repeat(65)}`), /400/);
  assert.equal((await fetch(`${front.url}/feed`)).status, 426);
});

test("draining: both ends of a session stay until its work is answered", async () => {
  await using front = await TestFront.start();
  front.submit.hold();
  await using feed = await open(front, "/feed?session=s");
  await using rev = await open(front, "/rev?session=s");
  feed.say({ id: 1, texts: ["one"] });
  await front.submit.arrived(1);
  const drained = front.front.drained();
  front.submit.release();
  assert.equal(shown(await rev.next()), "1 eno");
  for (const client of [feed, rev]) assert.equal((await client.closed()).code, 1001);
  await drained;
});
