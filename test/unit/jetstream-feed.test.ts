/** What a server hears of a stream at its start, where NATS says less than everything. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Feed } from "#src/jobs/jetstream/feed.js";
import type { Nats } from "#src/jobs/jetstream/session.js";
import { LogLines } from "../support/jetstream-store.js";

const longMs = 300_000;

/** Of a stream of which one message is to come, and never does. */
function silentNats(info: () => Promise<{ num_pending: number; delivered: object }>): {
  readonly nats: Nats;
  readonly isRead: Promise<void>;
} {
  let onRead = (): void => {};
  const isRead = new Promise<void>((resolve) => {
    onRead = resolve;
  });
  const consumer = {
    info: (isCached = false) =>
      isCached ? Promise.resolve({ num_pending: 1, delivered: { stream_seq: 0 } }) : info(),
    consume: () => {
      onRead();
      return Promise.resolve({ close: () => Promise.resolve() });
    },
  };
  const nats = { js: { consumers: { get: () => Promise.resolve(consumer) } } };
  return { nats: nats as unknown as Nats, isRead };
}

function feedOf(): Feed {
  return new Feed({
    stream: "a-stream",
    isHeadersOnly: true,
    onMessage: () => {},
    log: new LogLines(),
  });
}

test("defect: a server whose last message was deleted while it read waited for it for minutes", async () => {
  const { nats } = silentNats(() =>
    Promise.resolve({ num_pending: 0, delivered: { stream_seq: 0 } }),
  );
  await feedOf().start(nats, longMs);
});

test("defect: a consumer that NATS had forgotten was waited for, for minutes", async () => {
  const { nats } = silentNats(() => Promise.reject(new Error("consumer not found")));
  await assert.rejects(feedOf().start(nats, longMs), /consumer not found/);
});

test("defect: a start was waited for to its end though its connection was gone", async () => {
  const feed = feedOf();
  const { nats, isRead } = silentNats(() => new Promise(() => {}));
  const started = feed.start(nats, longMs);
  started.catch(() => {});
  await isRead;
  await feed.stop();
  await assert.rejects(started, /a-stream is read no more/);
});
