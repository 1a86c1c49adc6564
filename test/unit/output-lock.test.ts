/** One run at a time writes to an output; what is left of one that is gone stands in nobody's way. */
import assert from "node:assert/strict";
import { readdir, readFile, realpath, symlink, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { test } from "node:test";
import { OutputLock } from "#src/cli/bulk/output-lock.js";
import { TempDir } from "../support/temp-dir.js";

const inUse = { code: "output_in_use" };
/** Above what Linux gives (2²²), and never given elsewhere. */
const deadPid = 2 ** 30;

test("whoever has it keeps others out, by every name of the output, and leaves nothing behind", async () => {
  await using dir = await TempDir.make();
  const [out, link] = [dir.file("out.jsonl"), dir.file("link.jsonl")];
  await writeFile(out, "rows");
  await symlink(out, link);
  {
    await using _lock = await OutputLock.take(out);
    await assert.rejects(OutputLock.take(out), {
      ...inUse,
      message: `another run writes to ${out} (process ${process.pid}); where none does, remove ${await realpath(out)}.lock`,
    });
    await assert.rejects(OutputLock.take(link), inUse);
    await using _other = await OutputLock.take(dir.file("new.jsonl"));
  }
  await using _again = await OutputLock.take(link);
  assert.deepEqual((await readdir(dir.path)).toSorted(), [
    "link.jsonl",
    "out.jsonl",
    "out.jsonl.lock",
  ]);
});

test("of a process that is gone, or is another one by now, it is taken over", async () => {
  await using dir = await TempDir.make();
  const out = dir.file("out.jsonl");
  const left = async (holder: object): Promise<void> => {
    await writeFile(`${out}.lock`, JSON.stringify({ host: hostname(), begun: null, ...holder }));
  };
  await left({ pid: deadPid });
  await (await OutputLock.take(out))[Symbol.asyncDispose]();
  if (process.platform === "linux") {
    await left({ pid: process.pid, begun: "1" });
    await (await OutputLock.take(out))[Symbol.asyncDispose]();
  }
  await left({ pid: process.ppid });
  await assert.rejects(OutputLock.take(out), inUse);
  await left({ pid: deadPid, host: "elsewhere" });
  await assert.rejects(OutputLock.take(out), { ...inUse, message: /\(process \d+ on elsewhere\)/ });
  await writeFile(`${out}.lock`, "{");
  await assert.rejects(OutputLock.take(out), { ...inUse, message: /it is not known by whom/ });
});

test("attack: of twenty that find what a dead one left, one gets it; who lost it leaves that of the next", async () => {
  await using dir = await TempDir.make();
  const out = dir.file("out.jsonl");
  for (let round = 0; round < 10; round += 1) {
    await writeFile(`${out}.lock`, JSON.stringify({ pid: deadPid, host: hostname(), begun: null }));
    const all = await Promise.allSettled(Array.from({ length: 20 }, () => OutputLock.take(out)));
    const taken = all.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
    assert.equal(taken.length, 1, `${taken.length} have it`);
    for (const each of all) {
      if (each.status === "rejected")
        assert.equal((each.reason as { code: string }).code, inUse.code);
    }
    await taken[0]?.[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(dir.path), []);
  }
  const lost = await OutputLock.take(out);
  await writeFile(`${out}.lock`, "another's");
  await lost[Symbol.asyncDispose]();
  assert.equal(await readFile(`${out}.lock`, "utf8"), "another's");
});
