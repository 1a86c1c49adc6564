/** A time that is over, whatever else happens. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Deadline } from "#src/work/deadline.js";

function listen(ms: number, outer: AbortSignal): Promise<boolean> {
  const deadline = new Deadline(ms, outer);
  return new Promise((resolve) => {
    deadline.signal.addEventListener("abort", () => resolve(deadline.isOver));
  });
}

test("attack: its time is over also where nothing else holds it", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const outer = new AbortController();
  const isOver = listen(20, outer.signal);
  collect();
  assert.equal(await isOver, true);
});

test("it aborts with the other signal, before it or from the beginning", async () => {
  const outer = new AbortController();
  const isOver = listen(1_000_000, outer.signal);
  outer.abort(new Error("stop"));
  assert.equal(await isOver, false);
  using late = new Deadline(1_000_000, outer.signal);
  assert.equal(late.signal.reason, outer.signal.reason);
});

test("attack: nothing waits for a signal that may be collected", async () => {
  const root = new URL("../../../", import.meta.url);
  for (const folder of ["src", "client/src"]) {
    for (const name of await readdir(new URL(folder, root), { recursive: true })) {
      if (!name.endsWith(".ts")) continue;
      const source = await readFile(new URL(`${folder}/${name}`, root), "utf8");
      assert.doesNotMatch(source, /AbortSignal\.any\([^)]*AbortSignal\.timeout/, name);
    }
  }
});
