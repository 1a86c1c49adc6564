/** Each system's form, on whatever system this is: all that they know is given. */
import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { isFolderTaken, move } from "#src/platform/move.js";
import { platform, platformOf } from "#src/platform/platform.js";
import { isAlive } from "#src/platform/processes.js";
import type { Platform, PlatformFacts } from "#src/platform/system.js";
import { TempDir } from "../support/temp-dir.js";

/** No system gives a number so high. */
const deadPid = 2 ** 30;

const nothing: PlatformFacts = {
  name: "linux",
  read: () => null,
  env: {},
  home: "/home/amara",
  tempDir: "/tmp",
  userId: 7,
};

function onLinux(files: Readonly<Record<string, string>>): Platform {
  return platformOf({ ...nothing, read: (path) => files[path] ?? null });
}

/** As the kernel writes it: a command with blanks and parentheses in it, user and system time, and when it began. */
const stat = (state: string) =>
  `9 (a) b (c) ${state} 1 9 9 0 -1 4194304 1 0 0 0 12 34 0 0 20 0 1 0 5678 1 1 0\n`;

test("Linux: a process's processor time, state and beginning are read of its stat", () => {
  const of = (state: string) => onLinux({ "/proc/9/stat": stat(state) });
  const still = { cpuMs: 460, stopped: false, runnable: false };
  assert.deepEqual(of("S").sampleProcess(9), still);
  assert.deepEqual(of("R").sampleProcess(9), { ...still, runnable: true });
  for (const state of ["T", "t"])
    assert.deepEqual(of(state).sampleProcess(9), { ...still, stopped: true });
  assert.equal(of("S").sampleProcess(10), null);
  assert.equal(onLinux({ "/proc/9/stat": "9 (a)" }).sampleProcess(9), null);
  assert.deepEqual(of("S").processAt(9), { isDead: false, begun: "5678" });
  for (const state of ["Z", "X"])
    assert.deepEqual(of(state).processAt(9), { isDead: true, begun: "5678" });
  assert.equal(of("S").processAt(10), null);
});

test("Linux: own memory, instructions and open files, and what a sandbox hides is null", () => {
  const found = onLinux({
    "/proc/self/status": "VmRSS:\t  999 kB\nRssAnon:\t  12 kB\n",
    "/proc/cpuinfo": "processor\t: 0\nflags\t\t: fpu avx2\nbugs\t: none\n",
    "/proc/self/limits":
      "Limit   Soft Limit   Hard Limit   Units\nMax open files            1024                 4096                 files\n",
  });
  assert.equal(found.ownMemoryBytes(), 12 * 1024);
  assert.equal(found.processorFlags(), "fpu avx2");
  assert.equal(found.openFilesMax(), 1024);
  assert.equal(onLinux({ "/proc/cpuinfo": "Features\t: fp asimd\n" }).processorFlags(), "fp asimd");
  const hidden = platformOf(nothing);
  assert.equal(hidden.processorFlags(), null);
  assert.equal(hidden.openFilesMax(), null);
  assert.equal(hidden.memoryKillCounter()(), null);
  assert.deepEqual(hidden.containerLimits(), { cpus: null, memoryBytes: null });
  // All that is resident, rather than nothing.
  assert.ok(hidden.ownMemoryBytes() > 2 ** 20);
  assert.deepEqual(hidden.lacks, []);
  const unlimited = { "/proc/self/limits": "Max open files  unlimited  unlimited  files\n" };
  assert.equal(onLinux(unlimited).openFilesMax(), null);
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
    assert.equal(onLinux(texts).memoryKillCounter()(), expected);
  });
}

test("elsewhere what cannot be had is null and named, and nothing is 0", () => {
  for (const name of ["darwin", "win32", "freebsd"] as const) {
    const other = platformOf({ ...nothing, name, read: () => assert.fail("no file is read") });
    assert.equal(other.name, name);
    assert.equal(other.sampleProcess(process.pid), null);
    assert.equal(other.processAt(process.pid), null);
    assert.equal(other.memoryKillCounter()(), null);
    assert.equal(other.processorFlags(), null);
    assert.equal(other.openFilesMax(), null);
    assert.equal(other.terminalPath, null);
    assert.equal(other.openFolderPath(3), null);
    assert.deepEqual(other.containerLimits(), { cpus: null, memoryBytes: null });
    assert.ok(other.ownMemoryBytes() > 2 ** 20);
    // A thread watches for the parent's end instead.
    assert.equal(other.dieWithParent(), false);
    other.offerToMemoryKiller(process.pid);
    for (const lack of other.lacks) assert.match(lack, /^[^:]+: [^:]+/);
    assert.ok(other.lacks.length >= 7);
  }
});

test("Windows: closing the console stops a server, and no signal has it look at its models", () => {
  const windows = platformOf({ ...nothing, name: "win32" });
  assert.ok(windows.stopSignals.includes("SIGHUP") && windows.stopSignals.includes("SIGBREAK"));
  assert.equal(windows.reloadSignal, null);
  assert.equal(windows.hasSocketFiles || windows.hasFileModes, false);
  assert.ok(windows.holdsOpenFiles && windows.hasWidePaths);
  for (const name of ["linux", "darwin"] as const) {
    const { stopSignals, reloadSignal } = platformOf({ ...nothing, name });
    assert.deepEqual([stopSignals, reloadSignal], [["SIGTERM", "SIGINT"], "SIGHUP"]);
  }
});

const cacheHome = (facts: Partial<PlatformFacts>) => platformOf({ ...nothing, ...facts }).cacheHome;

test("each system's place for what can be made again", () => {
  assert.equal(cacheHome({}), "/home/amara/.cache");
  assert.equal(cacheHome({ env: { XDG_CACHE_HOME: "/c" } }), "/c");
  assert.equal(cacheHome({ env: { XDG_CACHE_HOME: "c" } }), "/home/amara/.cache");
  const mac = { name: "darwin", home: "/Users/amara" } as const;
  assert.equal(cacheHome(mac), "/Users/amara/Library/Caches");
  assert.equal(cacheHome({ ...mac, env: { XDG_CACHE_HOME: "/c" } }), "/c");
  const windows = { name: "win32", home: "C:\\Users\\amara" } as const;
  assert.equal(cacheHome(windows), "C:\\Users\\amara\\AppData\\Local");
  const env = { LOCALAPPDATA: "D:\\local" };
  assert.equal(cacheHome({ ...windows, env }), "D:\\local");
});

test("defect: who has no home, as in a container, has a folder for itself", () => {
  assert.equal(cacheHome({ home: null }), "/tmp/cache-of-7");
  assert.equal(cacheHome({ home: "" }), "/tmp/cache-of-7");
  const windows = { name: "win32", home: null, tempDir: "C:\\Temp", userId: null } as const;
  assert.equal(cacheHome(windows), "C:\\Temp\\cache-of-this-user");
});

test("a process that is there is seen, also another user's, and one that is not is not", () => {
  assert.equal(isAlive(process.pid), true);
  assert.equal(isAlive(1), true);
  assert.equal(isAlive(deadPid), false);
});

test("this system's own form reads this process", {
  skip: platform.name !== "linux" && "Linux",
}, () => {
  assert.ok((platform.sampleProcess(process.pid)?.cpuMs ?? 0) > 0);
  assert.match(platform.processAt(process.pid)?.begun ?? "", /^\d+$/);
  assert.equal(platform.sampleProcess(deadPid), null);
});

const failure = (code: string): Error =>
  Object.assign(new Error(code), { code, syscall: "rename" });

test("a file that a scanner holds for a moment is moved as soon as it lets go; for ever is not waited", async () => {
  let held = 3;
  const rename = async (): Promise<void> => {
    held -= 1;
    if (held >= 0) throw failure("EBUSY");
  };
  await move("a", "b", { rename, holdsOpenFiles: true });
  assert.equal(held, -1);
  held = 1;
  await assert.rejects(move("a", "b", { rename, holdsOpenFiles: false }), { code: "EBUSY" });
  held = Number.MAX_SAFE_INTEGER;
  await assert.rejects(move("a", "b", { rename, holdsOpenFiles: true }), { code: "EBUSY" });
  const missing = async (): Promise<void> => await Promise.reject(failure("ENOENT"));
  await assert.rejects(move("a", "b", { rename: missing, holdsOpenFiles: true }), {
    code: "ENOENT",
  });
});

test("a folder that is in the way is named as such, on every system", async () => {
  await using dir = await TempDir.make();
  await mkdir(dir.file("taken/in-it"), { recursive: true });
  await mkdir(dir.file("new"));
  const asWindows = async (): Promise<void> => await Promise.reject(failure("EPERM"));
  for (const calls of [undefined, { rename: asWindows, holdsOpenFiles: true }])
    await assert.rejects(move(dir.file("new"), dir.file("taken"), calls), isFolderTaken);
  await writeFile(dir.file("old"), "old");
  await writeFile(dir.file("draft"), "new");
  await move(dir.file("draft"), dir.file("old"));
  assert.equal(await readFile(dir.file("old"), "utf8"), "new");
});
