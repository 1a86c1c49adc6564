/** How the page follows the server, where a browser is not needed to see it. */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { pause } from "../../page/live/pause.js";

test("attack: a page that is open for days keeps nothing of each second", async () => {
  const running = new AbortController();
  const { signal } = running;
  for (let second = 0; second < 20; second += 1) await pause(1, signal);
  assert.equal(getEventListeners(signal, "abort").length, 0);
  const waiting = pause(1_000_000, signal);
  running.abort();
  await waiting;
  await pause(1_000_000, signal);
});
