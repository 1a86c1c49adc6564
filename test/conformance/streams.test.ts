/** `/v1/stream`: many requests on one connection. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { StreamServerMessage } from "millrace-client/wire";
import { identity, TestFront } from "../support/http-front.js";
import { WsClient } from "../support/ws-client.js";

async function begun(front: TestFront): Promise<WsClient> {
  const client = await WsClient.open(`${front.url}/v1/stream`);
  assert.deepEqual(await client.next(), { type: "hello", deployment: identity });
  return client;
}

const request = (
  id: string,
  texts: readonly string[],
  more: object = {},
): Record<string, unknown> => ({
  type: "request",
  id,
  task: "translate",
  texts,
  ...more,
});

/** As `accepted a`, `a 0 text`, `done a`, `error a code`. */
function shown(message: StreamServerMessage): string {
  switch (message.type) {
    case "outcome": {
      const { error, text } = message.outcome as { error?: { code: string }; text?: string };
      return `${message.id} ${message.index} ${error?.code ?? text ?? ""}`;
    }
    case "error":
      return `error ${message.id ?? "-"} ${message.error.code}`;
    case "accepted":
    case "done":
      return `${message.type} ${message.id}`;
    case "hello":
    case "pong":
      return message.type;
  }
}

async function shownUntil(client: WsClient, last: string): Promise<string[]> {
  const messages = await client.until((message) => shown(message) === last);
  return messages.map(shown);
}

test("requests share a connection, outcomes come as they are ready, each with its index", async () => {
  await using front = await TestFront.start();
  await using client = await begun(front);
  front.submit.orderOf = (count) => [...Array(count).keys()].toReversed();
  front.submit.hold();
  client.say(request("a", ["one", "!two"]));
  client.say(request("b", ["three"]));
  await front.submit.arrived(2);
  front.submit.release();
  const said = await shownUntil(client, "done b");
  assert.deepEqual(said, [
    "accepted a",
    "accepted b",
    "a 1 item_failed",
    "a 0 eno",
    "b 0 eerht",
    "done a",
    "done b",
  ]);
});
