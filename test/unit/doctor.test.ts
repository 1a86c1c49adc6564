/** What the doctor says: of real servers in states that were made on purpose, of edited figures, and of any figures at all. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { doctorText } from "#src/cli/doctor/text.js";
import { accountOf, accountText } from "#src/doctor/account.js";
import { diagnose } from "#src/doctor/doctor.js";
import { findingCodes, findingTable } from "#src/doctor/finding-table.js";
import { readWindow } from "#src/doctor/read-window.js";
import { untoldRealtimeTargetMs, untoldRowsMax } from "#src/doctor/untold-options.js";
import type { DoctorWindow } from "#src/doctor/window.js";
import { usualRowsMax } from "#src/models/engine-definition.js";
import { optionTable } from "#src/options/table.js";
import { Random } from "../sim/random.js";
import { commandTaking, programOf, wordsOf } from "../support/command-lines.js";
import { edited } from "../support/situations/edited.js";
import { readRecorded, recordedFile } from "../support/situations/recorded.js";
import { situations } from "../support/situations/situations.js";

const recorded: ReadonlyMap<string, DoctorWindow> = new Map(
  readRecorded(readFileSync(recordedFile, "utf8")).map(({ name, window }) => [name, window]),
);

function windowOf(name: string): DoctorWindow {
  const window = recorded.get(name);
  return window ?? assert.fail(`nobody recorded "${name}": see support/situations/record.ts`);
}

const working: DoctorWindow = windowOf("healthy: realtime at a good pace");

/** The first is what was made; each says something with figures, and all of them are in their order. */
function assertNamed(window: DoctorWindow, expected: string | null): void {
  const findings = diagnose(window);
  assert.equal(findings[0]?.code ?? null, expected, JSON.stringify(findings, null, 1));
  assertWhole(window);
}

function assertWhole(window: DoctorWindow): void {
  const findings = diagnose(window);
  assert.deepEqual(findings, diagnose(structuredClone(window)), "the same of the same");
  for (const { code, title, evidence, change, expect } of findings) {
    assert.ok(findingCodes.some((each) => each === code));
    const text = [title, ...evidence, change, expect].join("\n");
    assert.doesNotMatch(text, /NaN|Infinity|undefined|null|\[object/, code);
    assert.ok(evidence.length > 0 && change !== "" && expect !== "", code);
  }
  const ranks = findings.map(
    ({ severity, code }) =>
      (severity === "problem" ? 0 : 1_000) + findingCodes.findIndex((each) => each === code),
  );
  assert.deepEqual(
    ranks,
    ranks.toSorted((a, b) => a - b),
    "worst first",
  );
  assert.doesNotMatch(accountText(accountOf(window)), /NaN|Infinity|undefined/);
}

for (const { name, expected } of situations) {
  test(`as it was seen: ${name}`, () => {
    assertNamed(windowOf(name), expected);
  });
}

for (const { name, expected, edit } of edited) {
  test(`as it would be: ${name}`, () => {
    assertNamed(edit(structuredClone(working)), expected);
  });
}

test("what the doctor takes a server to be set to is what it is set to", () => {
  const { default: target } = optionTable.realtimeTargetMs;
  assert.deepEqual(target, { value: untoldRealtimeTargetMs });
  assert.equal(untoldRowsMax, usualRowsMax);
});

test("defect: commands that the doctor says are taken as they are told, and its flags are there", async () => {
  const windows = [
    ...recorded.values(),
    ...edited.map(({ edit }) => edit(structuredClone(working))),
  ];
  const told = [
    ...windows.flatMap(diagnose).map(({ change }) => change),
    ...Object.values(findingTable).map(({ change }) => change),
  ].join("\n");
  const commands = new Set([...told.matchAll(/`millrace ([^`]+)`/g)].map(([, line = ""]) => line));
  assert.ok(commands.size >= 4, [...commands].join());
  for (const line of commands) await commandTaking(wordsOf(line));
  const all = programOf().commands.flatMap((each) => [each, ...each.commands]);
  const known = new Set(all.flatMap(({ options }) => options.map(({ long }) => long)));
  const flags = new Set(told.match(/(?<![\w-])--[a-z][a-z-]+/g));
  assert.ok(flags.size >= 8, [...flags].join());
  assert.deepEqual(
    [...flags].filter((flag) => !known.has(flag)),
    [],
  );
});

test("every code is named first in a situation", () => {
  const named = new Set([...situations, ...edited].map(({ expected }) => expected));
  assert.deepEqual(
    findingCodes.filter((code) => !named.has(code)),
    [],
  );
});

test("what an older server does not tell is missed by nobody", () => {
  for (const window of recorded.values()) {
    const older = structuredClone(window) as unknown as Mutable;
    for (const { status } of [older.before, older.after]) {
      for (const name of [
        "jobs",
        "finished",
        "refusals",
        "failures",
        "tenants",
        "limits",
        "machine",
      ])
        delete status[name];
      for (const pipeline of status["pipelines"] as Record<string, unknown>[])
        delete pipeline["work"];
    }
    const read = readWindow(older);
    assert.ok("value" in read, "problem" in read ? read.problem : "");
    assertWhole(read.value);
  }
});

test("a window of no length, and one that ran backwards", () => {
  for (const window of recorded.values()) {
    const { before, after, samples } = window;
    assertWhole({ before, after: before, samples: samples.slice(0, 1) });
    assertWhole({ before: after, after: before, samples: samples.toReversed() });
    assertWhole({ before, after, samples: [] });
  }
});

test("attack: a clock that is set while it looks changes nothing", () => {
  for (const [name, { before, after, samples }] of recorded) {
    if (after.status.uptimeMs <= before.status.uptimeMs) continue;
    for (const byMs of [-3_600_000, 3_600_000]) {
      const set = { ...after, atMs: after.atMs + byMs };
      const codes = (window: DoctorWindow): string[] => diagnose(window).map(({ code }) => code);
      assert.deepEqual(
        codes({ before, after: set, samples }),
        codes({ before, after, samples }),
        name,
      );
      const { windowMs } = accountOf({ before, after: set, samples });
      assert.equal(windowMs, after.status.uptimeMs - before.status.uptimeMs, name);
    }
  }
});

test("defect: what to do about processes that end was guessed from the words of the reason", () => {
  const changeOf = (end: object): string => {
    const window = structuredClone(windowOf("a process that is killed again and again"));
    for (const pipeline of window.after.status.pipelines) Object.assign(pipeline, end);
    return diagnose(window).find(({ code }) => code === "pipeline-restarts")?.change ?? "";
  };
  // Its words name memory and a long run, and it is neither.
  const reason = "exited with code 3: memory_map.so: too long a name";
  const ended = (code: string) => ({ state: "ready", reason: null, lastEnd: { code, reason } });
  assert.match(changeOf(ended("crash")), /^Mend what the reason names;/);
  assert.match(changeOf(ended("outside")), /^See who kills them:/);
  assert.match(changeOf(ended("memory")), /^Fewer --pipelines /);
  assert.match(changeOf(ended("hang")), /--run-ms-max/);
  assert.match(changeOf(ended("start-timeout")), /--start-timeout-ms/);
  assert.match(
    changeOf({ state: "backing-off", reason, code: "load-timeout" }),
    /--start-timeout-/,
  );
  assert.match(changeOf(ended("of a newer server")), /^Mend what the reason names;/);
  const older = { state: "backing-off", reason, code: undefined, lastEnd: undefined };
  assert.match(changeOf(older), /^Mend what the reason names;/);
});

test("attack: names that a caller chose tell a terminal nothing but text", () => {
  const window = structuredClone(windowOf("one tenant has the queue"));
  const tenants = window.after.status.tenants ?? [];
  const most = tenants.toSorted((a, b) => b.items - a.items)[0];
  assert.ok(most !== undefined);
  Object.assign(most, { tenant: "\u001b]0;own\u0007\u001b[2J" });
  Object.assign(window.after.status.deployment, { name: "mill\u001b[31mrace" });
  const findings = diagnose(window);
  assert.equal(findings[0]?.code, "tenant-holds-queue");
  const text = doctorText({ window, findings, account: accountOf(window) }, false);
  assert.doesNotMatch(text.replaceAll("\n", ""), /\p{Cc}/u);
});

test("figures of any size: no finding holds what is no number, and none fails", () => {
  const random = new Random(7);
  const windows = [...recorded.values()];
  for (let round = 0; round < 1_500; round += 1) {
    const window = windows[round % windows.length] ?? working;
    const wild = structuredClone(window);
    shake(wild, random);
    const read = readWindow(wild);
    assert.ok("value" in read, "problem" in read ? read.problem : "");
    assertWhole(read.value);
  }
});

test("what is no window is said to be none, by its first place that is wrong", () => {
  const problemOf = (value: unknown): string => {
    const read = readWindow(value);
    return "problem" in read ? read.problem : "";
  };
  assert.equal(problemOf([]), "it is no object");
  assert.equal(problemOf({}), "before is no object");
  const broken = structuredClone(working) as unknown as Mutable;
  (broken.after.status["pipelines"] as Record<string, unknown>[])[1] = { pipelineId: "a" };
  assert.equal(problemOf(broken), "after.status.pipelines[1].kind is no string");
  const endless = structuredClone(working) as unknown as Mutable;
  endless.before.status["uptimeMs"] = JSON.parse("1e999");
  assert.equal(problemOf(endless), "before.status.uptimeMs is no number");
});

interface Mutable {
  readonly before: { readonly status: Record<string, unknown> };
  readonly after: { readonly status: Record<string, unknown> };
}

const sizes = [0, 1, 7, 1e3, 1e9, 1e15, -1, 0.25];

/** One in ten figures becomes another one, anywhere. */
function shake(value: unknown, random: Random): void {
  if (typeof value !== "object" || value === null) return;
  const record = value as Record<string, unknown>;
  for (const [key, each] of Object.entries(record)) {
    if (typeof each === "number" && random.chance(0.1))
      record[key] = sizes[random.int(0, sizes.length - 1)];
    else shake(each, random);
  }
}
