/** The trial of pipelines and threads: what it tries and takes, and that nothing in it keeps a server from starting. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { createLog, type Log } from "#src/log.js";
import { readManifest } from "#src/models/read-manifest.js";
import { type Configuration, resolveConfiguration } from "#src/options/resolve.js";
import { forget, keep, keptPath, readKept } from "#src/trial/kept-trial.js";
import { bestOf, describeLayouts, isOneBest, layoutsOf } from "#src/trial/layouts.js";
import { busyShare, machineLoad } from "#src/trial/machine-load.js";
import { measureInTurns, withKeptTrial, withTrial } from "#src/trial/trial.js";
import { bundledModelDir } from "../support/engine.js";
import { childrenOf } from "../support/processes.js";
import { TempDir } from "../support/temp-dir.js";

const machine = {
  cores: 2,
  coresFrom: "a test",
  memoryBytes: 2 ** 34,
  memoryFrom: "a test",
  openFilesMax: null,
  hostName: "here",
  bundledModelsDir: dirname(bundledModelDir),
  cacheDir: "/nowhere",
};

function logTo(lines: string[]): Log {
  const destination = { write: (line: string) => lines.push(line) };
  return createLog({ log: "json", logLevel: "info", destination });
}

function configured(cacheDir: string, code: Record<string, unknown> = {}): Configuration {
  return resolveConfiguration({ machine, code: { cacheDir, ...code } });
}

test("the layouts that use the cores: one pipeline, one thread, and the powers of two between them", () => {
  const text = (cores: number, pipelinesMax = 64): string =>
    layoutsOf(cores, pipelinesMax)
      .map(({ pipelines, threads }) => `${pipelines}×${threads}`)
      .join(" ");
  assert.equal(text(1), "1×1");
  assert.equal(text(2), "1×2 2×1");
  assert.equal(text(6), "1×6 2×3 6×1");
  assert.equal(text(8), "1×8 2×4 4×2 8×1");
  assert.equal(text(7), "1×7 2×3 7×1");
  assert.equal(text(128), "1×128 2×64 4×32 8×16 16×8 32×4 64×2");
});

test("the fastest is taken, and of those that are as fast the one of fewest pipelines", () => {
  const of = (...rates: number[]) =>
    rates.map((itemsPerSecond, index) => ({ pipelines: 2 ** index, threads: 1, itemsPerSecond }));
  assert.equal(bestOf([]), null);
  assert.equal(bestOf(of(100, 145))?.pipelines, 2);
  assert.equal(bestOf(of(100, 145, 146))?.pipelines, 2);
  assert.equal(bestOf(of(145, 100, 146))?.pipelines, 1);
  assert.equal(bestOf(of(100, 102, 120))?.pipelines, 4);
  assert.equal(describeLayouts(of(100, 145)), "2 × 1: 145 items/s, 1 × 1: 100 items/s");
});

test("defect: a trial whose time is over in its second turn has the first; before that, nothing", async () => {
  const layouts = layoutsOf(2, 64);
  const measuredAfter = async (measurements: number): Promise<readonly number[]> => {
    const time = new AbortController();
    let left = measurements;
    const measure = async (): Promise<number> => {
      left -= 1;
      if (left < 0) time.abort();
      time.signal.throwIfAborted();
      return await Promise.resolve(100 + left);
    };
    const { measured } = await measureInTurns(layouts, { measure, time: time.signal });
    return measured.map(({ itemsPerSecond }) => itemsPerSecond);
  };
  assert.deepEqual(await measuredAfter(1), []);
  assert.deepEqual(await measuredAfter(2), [101, 100]);
  assert.deepEqual(await measuredAfter(3), [102, 101]);
  assert.deepEqual(await measuredAfter(4), [103, 102]);
  const broken = measureInTurns(layouts, {
    measure: () => Promise.reject(new Error("ended")),
    time: new AbortController().signal,
  });
  await assert.rejects(broken, /ended/);
});

test("a layout is best where two of its runs are as fast as any of another", () => {
  assert.ok(
    isOneBest([
      [100, 99],
      [60, 58],
    ]),
  );
  assert.ok(isOneBest([[60], [100, 59, 98]]));
  assert.ok(
    isOneBest([
      [100, 97],
      [99, 60],
    ]),
    "as fast as it: either may be taken",
  );
  assert.ok(
    !isOneBest([
      [100, 60],
      [80, 79],
    ]),
    "its other run says something else",
  );
  assert.ok(!isOneBest([[100], [60]]), "nothing was repeated");
});

test("defect: one layout's window beside other work decided which layout is kept", async () => {
  const layouts = layoutsOf(2, 64);
  /** Two pipelines do 100, one of two threads 60; in these of all windows a neighbour takes half of it. */
  const measuredBeside = async (disturbed: readonly number[]): Promise<string> => {
    let windows = 0;
    const measure = async ({ pipelines }: { readonly pipelines: number }): Promise<number> => {
      const isDisturbed = disturbed.includes(windows);
      windows += 1;
      return await Promise.resolve((pipelines === 2 ? 100 : 60) * (isDisturbed ? 0.5 : 1));
    };
    const time = new AbortController().signal;
    const { measured, isSettled } = await measureInTurns(layouts, { measure, time });
    return `${bestOf(measured)?.pipelines} ${windows} ${isSettled}`;
  };
  assert.equal(await measuredBeside([]), "2 4 true");
  assert.equal(await measuredBeside([1, 2]), "2 6 true");
  assert.equal(await measuredBeside([1, 5, 7, 9, 11]), "2 12 false");
});

test("defect: how busy the machine is is told from now, and not from the minute before the start", () => {
  const processor = (busyMs: number, idleMs: number) => {
    const times = { user: busyMs, nice: 0, sys: 0, irq: 0, idle: idleMs };
    return { model: "a test", speed: 0, times };
  };
  // Whatever they did until then.
  const before = [processor(90_000, 1_000), processor(80_000, 500)];
  const after = (first: number, second: number) => [
    processor(90_000 + first, 1_000 + 200 - first),
    processor(80_000 + second, 500 + 200 - second),
  ];
  assert.equal(busyShare(before, after(0, 0)), 0);
  assert.equal(busyShare(before, after(200, 0)), 0.5);
  assert.equal(busyShare(before, after(200, 200)), 1);
  assert.equal(busyShare(before, before), 0);
});

test("defect: a start that is told to end does not wait for the look at the machine", async () => {
  const reason = new Error("told to end");
  await assert.rejects(machineLoad(AbortSignal.abort(reason)), reason);
  const later = new AbortController();
  const looking = machineLoad(later.signal);
  later.abort(reason);
  await assert.rejects(looking, reason);
});

test("a trial runs real pipelines once, keeps what it measured, and leaves no process", async () => {
  await using temp = await TempDir.make();
  const lines: string[] = [];
  const warnings: string[] = [];
  const onWarning = ({ message }: Error): void => void warnings.push(message);
  process.on("warning", onWarning);
  // A machine that does all the other tests beside it may take long.
  const parts = { log: logTo(lines), windowMs: 100, load: 0, trialMsMax: 120_000 };
  const given = configured(temp.path, { trial: "auto" });
  assert.equal(await withKeptTrial(given), given);
  const chosen = await withTrial(given, parts);
  process.off("warning", onWarning);
  assert.deepEqual(warnings, [], "defect: each window left a listener at the signal");
  assert.deepEqual(childrenOf(process.pid), []);
  const { options, sources, measured, hash } = chosen;
  assert.equal(options.pipelines * options.threads, 2);
  assert.deepEqual(
    [sources.pipelines, sources.threads, sources.port],
    ["measured", "measured", "default"],
  );
  assert.match(String(measured), /^\d × \d: \d+ items\/s, \d × \d: \d+ items\/s$/);
  assert.ok(lines.some((line) => line.includes('"measured"')));
  // Again: as it was kept.
  const before = lines.length;
  assert.deepEqual(await withTrial(given, parts), chosen);
  assert.deepEqual(await withKeptTrial(given), chosen);
  assert.equal(lines.length, before);
  const asGiven = configured(temp.path, { pipelines: options.pipelines, threads: options.threads });
  assert.equal(hash, asGiven.hash, "where a value is from is no part of the configuration");
});

test("nothing is tried where it is switched off, where anything is given, or on one core", async () => {
  await using temp = await TempDir.make();
  const lines: string[] = [];
  const parts = { log: logTo(lines), entry: "/no/such/script.js" };
  const given = [{ trial: "off" }, { pipelines: 1 }, { threads: 2 }];
  const dedicated = { realtimePipelines: 1, bulkPipelines: 1 };
  const configurations = [...given, dedicated].map((code) => configured(temp.path, code));
  const oneCore = { ...configured(temp.path), machine: { ...machine, cores: 1 } };
  for (const configuration of [...configurations, oneCore]) {
    assert.equal(await withTrial(configuration, parts), configuration);
  }
  assert.deepEqual([lines, readdirSync(temp.path)], [[], []]);
});

test("a trial that fails, ends or cannot be kept leaves the defaults, and is not repeated at each start", async () => {
  await using temp = await TempDir.make();
  const lines: string[] = [];
  const given = configured(temp.path);
  const broken = { log: logTo(lines), entry: "/no/such/script.js", load: 0 };
  assert.equal(await withTrial(given, broken), given);
  assert.ok(lines.some((line) => line.includes("could not be measured")));
  const before = lines.length;
  assert.equal(await withTrial(given, broken), given);
  assert.equal(lines.length, before);

  const file = temp.file("file");
  writeFileSync(file, "");
  const unkept = configured(join(file, "cache"));
  assert.equal(await withTrial(unkept, broken), unkept);
  assert.ok(lines.some((line) => line.includes("ENOTDIR")));

  // Nor is it said of a machine that does something else meanwhile.
  const path = keptPath(given, await readManifest(bundledModelDir));
  await forget(path);
  assert.equal(await withTrial(given, { ...broken, load: 0.9 }), given);
  assert.ok(!existsSync(path));

  // Whoever ends the start has said nothing about the machine.
  const reason = new Error("enough");
  const aborted = withTrial(given, {
    log: logTo([]),
    load: 0,
    signal: AbortSignal.abort(reason),
  });
  await assert.rejects(aborted, reason);
  assert.ok(!existsSync(path));
  assert.deepEqual(childrenOf(process.pid), []);
});

test("what was kept is for this model on this machine, and is believed only where it can be true", async () => {
  await using temp = await TempDir.make();
  const manifest = await readManifest(bundledModelDir);
  const given = configured(temp.path);
  const path = keptPath(given, manifest);
  const others = [
    keptPath({ ...given, machine: { ...machine, cores: 4 } }, manifest),
    keptPath(configured(temp.path, { rowsMax: 8 }), manifest),
    keptPath(given, { ...manifest, fileSha256: { ...manifest.fileSha256, "weights.bin": "0" } }),
  ];
  assert.equal(new Set([path, ...others]).size, 4);
  const measured = [{ pipelines: 2, threads: 1, itemsPerSecond: 9 }];
  await keep(path, measured);
  assert.deepEqual(await readKept(path), measured);
  mkdirSync(dirname(path), { recursive: true });
  const lies = [
    "",
    "[]",
    '{"measured": 1}',
    '{"measured": [{"pipelines": 100000, "threads": 1, "itemsPerSecond": 1}]}',
  ];
  for (const lie of lies) {
    writeFileSync(path, lie);
    assert.equal(await readKept(path), null, lie);
  }
});
