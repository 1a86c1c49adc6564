import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { FakeModel } from "../support/pool.js";
import { isRunning } from "../support/processes.js";

const owner = fileURLToPath(new URL("../support/pool-owner.js", import.meta.url));

for (const [doing, watch] of [
  ["idle", "kernel"],
  ["busy", "kernel"],
  ["silent", "kernel"],
  ["idle", "thread"],
  ["busy", "thread"],
] as const) {
  const title = `parent killed with SIGKILL leaves no ${doing} child, by the ${watch}`;
  test(title, { timeout: 60_000 }, async () => {
    using model = new FakeModel();
    const parent = spawn(process.execPath, [owner, model.dir, doing], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, FAKE_RUNTIME_WATCH: watch },
    });
    const [printed] = await once(parent.stdout, "data");
    const pid = Number(String(printed));
    assert.ok(pid > 0 && isRunning(pid), "the child runs");
    if (doing === "busy") await usesProcessor(pid);
    parent.kill("SIGKILL");
    await once(parent, "exit");
    // The child is not ours to wait for, so its end can only be looked for; the test's timeout is the bound.
    while (isRunning(pid)) await delay(10);
  });
}

/** Its main thread is in the loop by then: nothing else there uses so much. */
async function usesProcessor(pid: number): Promise<void> {
  const ticks = (): number =>
    Number(readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ")[11]);
  const first = ticks();
  while (ticks() < first + 10) await delay(10);
}
