import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { FakeModel, isAlive } from "../support/pool.js";

const owner = fileURLToPath(new URL("../support/pool-owner.js", import.meta.url));

for (const doing of ["idle", "busy", "silent"]) {
  test(`parent killed with SIGKILL leaves no ${doing} child`, { timeout: 60_000 }, async () => {
    using model = new FakeModel();
    const parent = spawn(process.execPath, [owner, model.dir, doing], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [printed] = await once(parent.stdout, "data");
    const pid = Number(String(printed));
    assert.ok(pid > 0 && isAlive(pid), "the child runs");
    if (doing === "busy") await usesProcessor(pid);
    parent.kill("SIGKILL");
    await once(parent, "exit");
    // The child is not ours to wait for, so its end can only be looked for; the test's timeout is the bound.
    while (isRunning(pid)) await delay(10);
  });
}

/** A zombie whose new parent has not collected it yet has ended. */
function isRunning(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  if (!existsSync("/proc/self/stat")) return isAlive(pid);
  return existsSync(stat) && !/\) [ZX] /.test(readFileSync(stat, "latin1"));
}

/** Its main thread is in the loop by then: nothing else there uses so much. */
async function usesProcessor(pid: number): Promise<void> {
  const ticks = (): number =>
    Number(readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ")[11]);
  const first = ticks();
  while (ticks() < first + 10) await delay(10);
}
