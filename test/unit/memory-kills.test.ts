import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "#src/simulation/virtual-clock.js";
import { findMemoryKillCounter, MemoryKills } from "#src/worker/memory-kills.js";

function makeKills(count: () => number | null): { kills: MemoryKills; clock: VirtualClock } {
  const clock = new VirtualClock();
  const time = {
    now: () => clock.nowMs,
    after: (delayMs: number, action: () => void) => clock.after(delayMs, action),
  };
  return { kills: new MemoryKills(time, count), clock };
}

function pass(clock: VirtualClock, ms: number): void {
  clock.after(ms, () => {});
  clock.advance();
}

test("defect 10: each kill that the kernel counts explains one death", () => {
  let count = 7;
  const { kills } = makeKills(() => count);
  assert.equal(kills.explainsDeath(), false, "what was counted before the start is nobody's");
  count += 2;
  assert.deepEqual(
    [1, 2, 3].map(() => kills.explainsDeath()),
    [true, true, false],
  );
});

test("defect 10: a kill seen shortly before explains a death, one seen long before does not", () => {
  let count = 0;
  const { kills, clock } = makeKills(() => count);
  count = 1;
  pass(clock, 500);
  kills.look();
  pass(clock, 4_000);
  assert.equal(kills.explainsDeath(), true);
  count = 2;
  pass(clock, 500);
  kills.look();
  pass(clock, 60_000);
  assert.equal(kills.explainsDeath(), false);
});

test("where nothing counts, nothing is explained, and a counter that goes back starts anew", () => {
  let count: number | null = null;
  const { kills } = makeKills(() => count);
  assert.equal(kills.explainsDeath(), false);
  for (const next of [5, 3, 1_000_000]) {
    count = next;
    assert.equal(kills.explainsDeath(), next === 1_000_000);
  }
});

for (const [what, files, expected] of [
  ["nothing", {}, null],
  [
    "cgroup v2",
    {
      "/proc/self/cgroup": "0::/a/b\n",
      "/proc/self/mountinfo": "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",

      "/sys/fs/cgroup/a/b/memory.events": "low 0\noom 9\noom_kill 3\noom_group_kill 0\n",
      "/proc/vmstat": "oom_kill 99\n",
    },
    3,
  ],
  [
    "a container's own cgroup v2",
    {
      "/proc/self/cgroup": "0::/../host/name\n",
      "/proc/self/mountinfo": "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",

      "/sys/fs/cgroup/memory.events": "oom 9\noom_kill 4\n",
    },
    4,
  ],
  [
    "cgroup v1",
    {
      "/proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/x\n0::/\n",
      "/proc/self/mountinfo":
        "32 23 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,cpu,memory\n",
      "/sys/fs/cgroup/memory/x/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
      "/proc/vmstat": "oom_kill 99\n",
    },
    5,
  ],
  ["the machine", { "/proc/vmstat": "pgfault 7\noom_kill 6\n" }, 6],
] as const) {
  test(`the kernel's counter is found: ${what}`, () => {
    const texts: Readonly<Record<string, string>> = files;
    assert.equal(findMemoryKillCounter((path) => texts[path] ?? null)(), expected);
  });
}
