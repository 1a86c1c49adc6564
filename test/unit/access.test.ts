/** Keys by themselves: the ring, the rate, the quota, the month, the file; clocks are the tests' own. */
import assert from "node:assert/strict";
import { timingSafeEqual } from "node:crypto";
import { chmod, lstat, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import type { Access } from "#src/access/access.js";
import { GuardedSubmit } from "#src/access/guarded-submit.js";
import { changeKeyFile, type KeyRecord, newKey, readKeyFile } from "#src/access/key-file.js";
import { KeyRing } from "#src/access/key-ring.js";
import { openKeyedAccess } from "#src/access/keyed-access.js";
import { Rate } from "#src/access/rate.js";
import { createLog } from "#src/log.js";
import type { SubmitRequest } from "#src/submit/submit.js";
import { anyCaller, type Caller } from "#src/work/caller.js";
import { EchoSubmit } from "../support/echo-submit.js";
import { TempDir } from "../support/temp-dir.js";

const silent = createLog({ log: "json", logLevel: "silent", destination: process.stdout });

function made(name: string, more: Partial<KeyRecord> = {}): readonly [string, KeyRecord] {
  const { key, sha256 } = newKey();
  return [key, { name, sha256, createdAt: "2026-11-26T00:00:00.000Z", ...more }];
}

function codeOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof MillraceError, String(error));
    return error.code;
  }
  return "none";
}

test("a key is 32 random bytes, and every one is compared with every credential, in the time of the bytes", () => {
  assert.match(newKey().key, /^mr_[\w-]{43}$/);
  const all = Array.from({ length: 10_000 }, (_, at) => made(`key-${at}`));
  let compared = 0;
  const records = all.map(([, record]) => record);
  const ring = new KeyRing(records, (left, right) => {
    compared += 1;
    return timingSafeEqual(left, right);
  });
  for (const at of [0, 5_000, 9_999]) {
    compared = 0;
    const [key, record] = all[at] ?? assert.fail("no such key");
    assert.equal(ring.find(key).record, record);
    assert.equal(compared, all.length, "none of them ends the search");
  }
  for (const wrong of ["", "mr_", newKey().key, "x".repeat(100_000)]) {
    compared = 0;
    assert.equal(
      codeOf(() => ring.find(wrong)),
      "unauthenticated",
    );
    assert.equal(compared, all.length);
  }
  assert.equal(
    codeOf(() => ring.find(null)),
    "unauthenticated",
  );
});

test("ten thousand keys are read, and one more is not", async () => {
  await using dir = await TempDir.make();
  const path = dir.file("keys.json");
  const records = Array.from({ length: 10_000 }, (_, at) => made(`key-${at}`)[1]);
  await changeKeyFile(path, () => records, "create");
  assert.equal((await readKeyFile(path)).length, 10_000);
  const more = changeKeyFile(path, (keys) => [...keys, made("more")[1]], "refuse");
  await assert.rejects(more, { code: "key_file_invalid" });
  assert.equal((await readKeyFile(path)).length, 10_000, "the file stays as it was");
});

test("a rate: a burst at once, then as the time passes; a request above the burst leaves a debt", () => {
  const rate = new Rate();
  const limit = { perSecond: 10, burst: 20 };
  assert.equal(rate.take(15, limit, 0), 0);
  assert.equal(rate.take(10, limit, 0), 500, "5 are left, and 5 more take half a second");
  assert.equal(rate.take(5, limit, 0), 0, "what was refused took nothing");
  assert.equal(rate.take(1, limit, 99), 1);
  assert.equal(rate.take(1, limit, 100), 0);
  assert.equal(rate.take(50, limit, 100), 2_000, "the bucket must be full");
  assert.equal(rate.take(50, limit, 10_000), 0);
  assert.equal(rate.take(1, limit, 10_000), 3_100, "30 of debt, and one");
  rate.giveBack(50);
  assert.equal(rate.take(20, limit, 10_000), 0);
  assert.equal(
    rate.take(1, { perSecond: 1_000, burst: 1_000 }, 10_001),
    0,
    "a new limit counts at once",
  );
  rate.giveBack(1_000_000);
  assert.equal(rate.take(20, limit, 10_001), 0);
  assert.equal(rate.take(1, limit, 10_001), 100, "no more than the burst is ever there");
});

interface Clocked extends AsyncDisposable {
  readonly access: Access;
  readonly path: string;
  caller(name: string): Caller;
  dateMs: number;
  reopen(): Promise<void>;
}

async function clocked(...keys: readonly (readonly [string, KeyRecord])[]): Promise<Clocked> {
  const dir = await TempDir.make();
  const path = dir.file("keys.json");
  await changeKeyFile(path, () => keys.map(([, record]) => record), "create");
  const open = (): Promise<Access> =>
    openKeyedAccess({ path, log: silent, nowMs: () => 0, dateMs: () => clock.dateMs });
  const clock = { dateMs: Date.UTC(2026, 10, 30, 23, 59) };
  let access = await open();
  return {
    path,
    get access() {
      return access;
    },
    get dateMs() {
      return clock.dateMs;
    },
    set dateMs(ms) {
      clock.dateMs = ms;
    },
    caller: (name) => {
      const [key] = keys.find(([, record]) => record.name === name) ?? assert.fail(name);
      return access.callerOf(key);
    },
    reopen: async () => {
      await access.close();
      access = await open();
    },
    [Symbol.asyncDispose]: async () => {
      await access.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

test("a quota is of the calendar month in UTC, by the key's name, and is kept beside the file", async () => {
  await using keys = await clocked(made("shop", { quotaPerMonth: 10 }), made("free"));
  const shop = keys.caller("shop");
  keys.access.take(shop, { inputs: 6, characters: 60 });
  const giveBack = keys.access.take(shop, { inputs: 4, characters: 40 });
  assert.equal(
    codeOf(() => keys.access.take(shop, { inputs: 1, characters: 1 })),
    "quota_exceeded",
  );
  giveBack();
  giveBack();
  const used = { inputs: 6, characters: 60, inputsMax: 10, endsAtMs: Date.UTC(2026, 11, 1) };
  assert.deepEqual(keys.access.usageOf(shop), used, "given back once");
  keys.access.take(keys.caller("free"), { inputs: 1_000_000, characters: 0 });
  assert.equal(keys.access.usageOf(keys.caller("free"))?.inputsMax, null);
  await keys.reopen();
  assert.deepEqual(keys.access.usageOf(shop), used, "after a restart");
  assert.equal((await stat(`${keys.path}.usage.json`)).mode & 0o777, 0o600);
  keys.dateMs = Date.UTC(2026, 11, 1);
  keys.access.take(shop, { inputs: 10, characters: 0 });
  keys.dateMs = Date.UTC(2026, 10, 30);
  const codes = codeOf(() => keys.access.take(shop, { inputs: 1, characters: 0 }));
  assert.equal(codes, "quota_exceeded", "a clock that is set back begins no month anew");
  await keys.reopen();
  assert.equal(
    codeOf(() => keys.access.take(shop, { inputs: 1, characters: 0 })),
    "quota_exceeded",
  );
});

test("what was taken in one month is not given back in the next", async () => {
  await using keys = await clocked(made("shop", { quotaPerMonth: 10 }));
  const shop = keys.caller("shop");
  const giveBack = keys.access.take(shop, { inputs: 10, characters: 0 });
  keys.dateMs = Date.UTC(2026, 11, 1);
  keys.access.take(shop, { inputs: 9, characters: 0 });
  giveBack();
  assert.equal(keys.access.usageOf(shop)?.inputs, 9);
});

test("defect: where a server was killed, more was given back than it knew of, and it did not start again", async () => {
  await using keys = await clocked(made("shop", { quotaPerMonth: 10_000 }));
  const shop = keys.caller("shop");
  const { receipt } =
    keys.access.takeForJob(shop, { inputs: 0, characters: 0 }) ?? assert.fail("nobody counts");
  const giveBack = keys.access.take(shop, { inputs: 50, characters: 70 });
  // Of a job that was counted in the last seconds before it was killed.
  keys.access.giveBack(receipt, { inputs: 1_000, characters: 9_000 });
  giveBack();
  await keys.reopen();
  const { inputs, characters } = keys.access.usageOf(shop) ?? assert.fail("nobody counts");
  assert.deepEqual([inputs, characters], [0, 0]);
});

test("usage that cannot be written is counted on, and whoever closes is not held", async () => {
  await using keys = await clocked(made("shop", { quotaPerMonth: 10 }));
  // Where the draft would be there is a folder.
  await mkdir(`${keys.path}.usage.json.new`);
  keys.access.take(keys.caller("shop"), { inputs: 10, characters: 0 });
  await keys.access.close();
  assert.equal(
    codeOf(() => keys.access.take(keys.caller("shop"), { inputs: 1, characters: 0 })),
    "quota_exceeded",
  );
});

test("who came in before the file changed is held to what it says now: less, or nothing under the same name", async (t) => {
  await using dir = await TempDir.make();
  const path = dir.file("keys.json");
  const [old, record] = made("shop");
  await changeKeyFile(path, () => [record], "create");
  let reread = (): void => {};
  const log = createLog({
    log: "json",
    logLevel: "info",
    destination: { write: (line) => (line.includes("keys read again") ? reread() : null) },
  });
  const access = await openKeyedAccess({ path, log });
  // No server is here, and what looks at the file keeps nobody alive.
  const alive = setInterval(() => {}, 1_000);
  t.after(() => clearInterval(alive));
  const change = async (key: KeyRecord): Promise<void> => {
    const isReread = new Promise<void>((resolve) => {
      reread = resolve;
    });
    await changeKeyFile(path, () => [key], "refuse");
    await isReread;
  };
  const submit = new GuardedSubmit(new EchoSubmit(), access);
  const caller = access.callerOf(old);
  const request = {
    id: "1",
    caller,
    task: "translate",
    model: null,
    fields: { texts: ["a"] },
    class: "realtime",
    tenant: "default",
    deadlineAtMs: null,
    payloadBytes: 1,
  } as const;
  const send = (): Promise<unknown> =>
    submit.submit(request, new AbortController().signal, { onOutcome: () => {} });
  await send();
  assert.equal(submit.usageOf(caller)?.inputs, 1);
  assert.equal(submit.usageOf(caller)?.characters, 1);
  await change({ ...record, classes: ["bulk"] });
  await assert.rejects(send(), { code: "forbidden" });
  const [fresh, anew] = made("shop");
  await change(anew);
  await assert.rejects(send(), { code: "unauthenticated" });
  assert.equal(
    codeOf(() => submit.usageOf(caller)),
    "unauthenticated",
  );
  assert.equal(submit.usageOf(access.callerOf(fresh))?.inputs, 1, "what the name has used stays");
  await access.close();
});

test("what a job asks is bulk and its tenant's, whatever the request says, and only of a key that may", async () => {
  const asked: SubmitRequest[] = [];
  const echo = new EchoSubmit();
  const submit = new GuardedSubmit({
    tasks: echo.tasks,
    submit: (request, signal, events) => {
      asked.push(request);
      return echo.submit(request, signal, events);
    },
  });
  const send = (caller: Caller): Promise<unknown> =>
    submit.submit(
      {
        id: "1",
        caller: { ...caller, jobTenant: "of the job" },
        task: "translate",
        model: null,
        fields: { texts: ["a"] },
        class: "realtime",
        tenant: "default",
        deadlineAtMs: null,
        payloadBytes: 1,
      },
      new AbortController().signal,
      { onOutcome: () => {} },
    );
  await send(anyCaller);
  await send({ ...anyCaller, tenant: "of the key" });
  assert.deepEqual(
    asked.map((each) => [each.class, each.tenant]),
    [
      ["bulk", "of the job"],
      ["bulk", "of the key"],
    ],
  );
  await assert.rejects(send({ ...anyCaller, classes: ["realtime"] }), { code: "forbidden" });
});

test("without keys nobody counts", () => {
  assert.equal(new GuardedSubmit(new EchoSubmit()).usageOf(anyCaller), null);
});

const record = made("shop")[1];

for (const [what, content, why] of [
  [
    "two keys of one name",
    { version: 1, keys: [record, { ...made("x")[1], name: "shop" }] },
    /same name/,
  ],
  ["one key twice", { version: 1, keys: [record, { ...record, name: "x" }] }, /same sha256/],
  [
    "a field that nobody knows",
    { version: 1, keys: [{ ...record, key: "mr_x" }] },
    /keys\.0.*"key"/,
  ],
  ["a hash that is none", { version: 1, keys: [{ ...record, sha256: "AB" }] }, /keys\.0\.sha256/],
  [
    "a name that no log could have",
    { version: 1, keys: [{ ...record, name: "a b" }] },
    /keys\.0\.name/,
  ],
  [
    "a class that there is none of",
    { version: 1, keys: [{ ...record, classes: ["x"] }] },
    /keys\.0\.classes\.0/,
  ],
  ["no class at all", { version: 1, keys: [{ ...record, classes: [] }] }, /keys\.0\.classes/],
  ["a rate of nothing", { version: 1, keys: [{ ...record, ratePerSecond: 0 }] }, /ratePerSecond/],
  ["a list", [], /expected object/],
  ["null", null, /expected object/],
] as const) {
  test(`a file of keys with ${what} is refused, and not written over`, async () => {
    await using dir = await TempDir.make();
    const path = dir.file("keys.json");
    const text = JSON.stringify(content);
    await writeFile(path, text, { mode: 0o600 });
    await assert.rejects(readKeyFile(path), (error) => {
      assert.ok(error instanceof MillraceError && error.code === "key_file_invalid");
      assert.match(error.message, why);
      return true;
    });
    await assert.rejects(
      changeKeyFile(path, (keys) => keys, "create"),
      why,
    );
    assert.equal(await readFile(path, "utf8"), text);
  });
}

test("the file is its owner's alone, a group may go on reading it, and a link stays one", async () => {
  await using dir = await TempDir.make();
  const [path, link] = [dir.file("keys.json"), dir.file("link.json")];
  await changeKeyFile(path, () => [record], "create");
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await chmod(path, 0o644);
  await symlink(path, link);
  await changeKeyFile(link, (keys) => keys, "refuse");
  assert.equal((await stat(path)).mode & 0o777, 0o640);
  assert.ok((await lstat(link)).isSymbolicLink());
});

test("many who write at once lose nobody's key, and one who was killed while writing is told of", async () => {
  await using dir = await TempDir.make();
  const path = dir.file("keys.json");
  const names = Array.from({ length: 12 }, (_, at) => `key-${at}`);
  const add = (name: string): Promise<void> =>
    changeKeyFile(path, (keys) => [...keys, made(name)[1]], "create");
  await Promise.all(names.map(add));
  const written = (await readKeyFile(path)).map(({ name }) => name);
  assert.deepEqual(written.toSorted(), names.toSorted());
  await writeFile(`${path}.new`, "");
  await assert.rejects(add("late"), /keys\.json\.new is there.*remove it/);
  const none = changeKeyFile(dir.file("none.json"), (keys) => keys, "refuse");
  await assert.rejects(none, /there is no such file/);
});
