/** A container's limits, from the files of its control groups as they really look. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Machine, resourcesOf } from "#src/options/machine.js";
import { readContainerLimits } from "#src/platform/container-limits.js";

type Files = Readonly<Record<string, string>>;

const mountOf2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
const GiB = 2 ** 30;

function reader(files: Files): (path: string) => string | null {
  return (path) => files[path] ?? null;
}

function coresOf(files: Files, cores = 8): Pick<Machine, "cores" | "coresFrom"> {
  return resourcesOf({ cores, memoryBytes: 64 * GiB, limits: readContainerLimits(reader(files)) });
}

/** The files of a container of version 2 whose own group is `/`. */
function container(files: Files): Files {
  return {
    "/proc/self/cgroup": "0::/\n",
    "/proc/self/mountinfo": mountOf2,
    ...Object.fromEntries(
      Object.entries(files).map(([name, text]) => [`/sys/fs/cgroup/${name}`, text]),
    ),
  };
}

test("defect 12: a container's CPU quota bounds the cores, rounded down, with a least of 1", () => {
  for (const [max, expected] of [
    ["200000 100000", 2],
    ["150000 100000", 1],
    ["399999 100000", 3],
    ["10000 100000", 1],
    ["1600000 100000", 8],
  ] as const) {
    assert.equal(coresOf(container({ "cpu.max": `${max}\n` })).cores, expected, max);
  }
  const { coresFrom } = coresOf(container({ "cpu.max": "150000 100000\n" }));
  assert.equal(coresFrom, "a quota of 1.5 in /sys/fs/cgroup/cpu.max");
});

test("defect 12: the tightest of a group and those above it counts, up to the mount", () => {
  const files = {
    "/proc/self/cgroup": "0::/kubepods/pod a/app\n",
    "/proc/self/mountinfo":
      "1 1 0:1 / / rw - ext4 /dev/x rw\n9 1 0:2 /kubepods /my\\040groups rw - cgroup2 cgroup rw\n",
    "/my groups/pod a/app/cpu.max": "max 100000\n",
    "/my groups/pod a/cpu.max": "300000 100000\n",
    "/my groups/cpu.max": "400000 100000\n",
    "/my groups/pod a/app/memory.max": "2147483648\n",
    "/my groups/pod a/memory.max": "max\n",
    // Not ours.
    "/my groups/pod a/app/other/cpu.max": "100000 100000\n",
  };
  assert.deepEqual(readContainerLimits(reader(files)), {
    cpus: { value: 3, from: "/my groups/pod a/cpu.max" },
    memoryBytes: { value: 2 * GiB, from: "/my groups/pod a/app/memory.max" },
  });
});

test("defect 12: a group outside of what is mounted is seen as the mount's root", () => {
  for (const [own, root] of [
    ["0::/docker/abc", "/docker/abc"],
    ["0::/../..", "/"],
    ["0::/elsewhere", "/docker/abc"],
  ]) {
    const files = {
      "/proc/self/cgroup": `${own}\n`,
      "/proc/self/mountinfo": mountOf2.replace(" / /sys", ` ${root} /sys`),
      "/sys/fs/cgroup/cpu.max": "200000 100000\n",
    };
    assert.equal(coresOf(files).cores, 2, own);
  }
});

test("defect 12: version 1, and both versions side by side", () => {
  const files = {
    "/proc/self/cgroup": "5:cpu,cpuacct:/app\n4:memory:/app\n3:name=systemd:/x\n0::/\n",
    "/proc/self/mountinfo": [
      "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct",
      "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory",
      "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw",
      "",
    ].join("\n"),
    "/sys/fs/cgroup/cpu/app/cpu.cfs_quota_us": "250000\n",
    "/sys/fs/cgroup/cpu/app/cpu.cfs_period_us": "100000\n",
    "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
    "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    "/sys/fs/cgroup/memory/app/memory.limit_in_bytes": "1073741824\n",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
  };
  const limits = readContainerLimits(reader(files));
  assert.deepEqual(resourcesOf({ cores: 8, memoryBytes: 64 * GiB, limits }), {
    cores: 2,
    coresFrom: "a quota of 2.5 in /sys/fs/cgroup/cpu/app/cpu.cfs_quota_us",
    memoryBytes: GiB,
    memoryFrom: "/sys/fs/cgroup/memory/app/memory.limit_in_bytes",
  });
});

test("defect 12: a file that cannot be read, or makes no sense, limits nothing", () => {
  const whole = { cores: 8, coresFrom: "the machine's processors" };
  const quotas = ["", "max 100000", "0 100000", "-1 100000", "x y", "100000", "1 0", "1e9 1", "  "];
  for (const max of quotas) {
    const { cores, coresFrom } = coresOf(container({ "cpu.max": max, "memory.max": max }));
    assert.deepEqual({ cores, coresFrom }, whole, JSON.stringify(max));
  }
  for (const files of [
    {},
    { "/proc/self/cgroup": "0::/\n" },
    { "/proc/self/cgroup": "nonsense\n::\n0::", "/proc/self/mountinfo": "a b c\n - \n - cgroup2" },
  ] as readonly Files[]) {
    assert.equal(coresOf(files).cores, 8);
  }
});
