import assert from "node:assert/strict";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { Lifetime } from "#src/listen/http/lifetime.js";
import { ReplyWriter } from "#src/listen/http/reply-writer.js";
import { ReplyBudget } from "#src/listen/reply-budget.js";

function lifetimeOf(response: ServerResponse): Lifetime {
  const lifetime = new Lifetime();
  response.once("close", () => lifetime.end());
  return lifetime;
}

interface Stalled {
  readonly writer: ReplyWriter;
  readonly budget: ReplyBudget;
  readonly disconnected: Promise<void>;
}

/** A reply to a caller whose socket takes bytes, as many as you like, and never says that they are gone. */
function stalled(stallMs: number, writableHighWaterMark = 1024 * 1024): Stalled {
  const socket = new Duplex({ writableHighWaterMark, read() {}, write() {} });
  const response = new ServerResponse(new IncomingMessage(new Socket()));
  response.assignSocket(socket as Socket);
  const budget = new ReplyBudget(1024 * 1024);
  let disconnect: () => void = () => {};
  const disconnected = new Promise<void>((resolve) => {
    disconnect = () => {
      socket.destroy();
      resolve();
    };
  });
  return {
    writer: new ReplyWriter(response, {
      lifetime: lifetimeOf(response),
      stallMs,
      budget,
      disconnect,
    }),
    budget,
    disconnected,
  };
}

test("defect 25: a reader that stalls after the last line is disconnected", async () => {
  const { writer, budget, disconnected } = stalled(20);
  writer.write("a line\n");
  assert.equal(writer.isBehind, false);
  const ended = writer.end();
  await disconnected;
  await ended;
  assert.equal(budget.heldBytes, 0);
});

test("defect 25: so is one that stalls over a reply in one piece", async () => {
  const { writer, disconnected } = stalled(20);
  const ended = writer.end("a reply");
  await disconnected;
  await ended;
});

test("what a reader has not taken is counted until it is taken or given up", async () => {
  const { writer, budget, disconnected } = stalled(20, 1024);
  writer.write("x".repeat(100_000));
  writer.write("y".repeat(100_000));
  assert.ok(budget.heldBytes >= 200_000);
  await disconnected;
  await writer.end();
  assert.equal(budget.heldBytes, 0);
});
