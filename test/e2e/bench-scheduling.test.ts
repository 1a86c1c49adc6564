import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { bench } from "../support/bench.js";
import { isLong } from "../support/long.js";
import { TempDir } from "../support/temp-dir.js";

interface DrainVariant {
  readonly shape: { readonly policy: string; readonly mode: string; readonly items: number };
  readonly rounds: readonly { readonly decided: string; readonly batches: number }[];
}

test("the scheduler benchmark runs: every item is sent once, and two rounds decide the same", async () => {
  await using dir = await TempDir.make();
  const size = ["--items", "50,400", "--callers", "20", "--tenants", "3", "--rounds", "2"];
  const ways = ["--policies", "millrace,fcfs,seed-router", "--modes", "continuous,one-shot"];
  const json = dir.file("scheduler.json");
  const out = await bench("scheduler", ...size, ...ways, "--paces", "1", "--json", json);
  const { variants } = JSON.parse(await readFile(json, "utf8")) as {
    readonly variants: readonly DrainVariant[];
  };
  assert.equal(variants.length, 12, out);
  for (const { rounds, shape } of variants) {
    assert.equal(new Set(rounds.map(({ decided }) => decided)).size, 1, JSON.stringify(shape));
    assert.ok(rounds.every(({ batches }) => batches > 0 && batches <= shape.items));
  }
  assert.ok(new Set(variants.map(({ rounds }) => rounds[0]?.decided)).size > 6, out);
});

test("policies are compared by simulation: all work is done, and theirs are not ours", async () => {
  const size = ["--callers", "3", "--real", "4", "--gaps", "0,50", "--bulk-items", "300"];
  const crowd = ["--crowd-callers", "30", "--crowd-items", "500"];
  const few = ["--pipelines", "2", "--rows", "16"];
  const run = async () => await bench("policies", "--simulate", ...size, ...crowd, ...few);
  const out = await run();
  const rows = out.split("\n").filter((line) => /\| +(fcfs|seed-router|millrace) \|/.test(line));
  assert.equal(rows.length, 12, out);
  const shown = (mark: string) => rows.filter((row) => row.includes(` ${mark} |`)).map(withoutName);
  assert.notDeepEqual(shown("millrace"), shown("seed-router"), out);
  assert.match(out, /as fast as seed-router +\d/);
  assert.equal(tableOf(await run()), tableOf(out), "made of no chance");
});

function withoutName(row: string): string {
  return row.split("|").slice(3).join("|");
}

function tableOf(out: string): string {
  return out.slice(out.indexOf("| workload"));
}

if (isLong) {
  test("policies are compared through the whole server, and give the same outputs", async () => {
    await using dir = await TempDir.make();
    await writeFile(dir.file("lines.txt"), "Good morning.\nHow are you today?\nWe wait.\n");
    const size = ["--real", "2", "--callers", "2", "--gaps", "0", "--bulk-items", "300"];
    const tiny = ["--scale", "0.02", "--max-length", "6", "--rounds", "1"];
    const lines = ["--sentences", dir.file("lines.txt")];
    const out = await bench("policies", ...size, ...tiny, ...lines);
    assert.match(out, /^outputs: 3 different sentences, equal in all variants: [0-9a-f]{12}$/m);
    assert.match(out, /^\| mix 4 × 6, 2 /m, "defect: it told the size before scaling");
    assert.match(
      out,
      /^\| real 2 +\| +seed-router +\| +\d+ shared/m,
      "defect: half of its machine was for bulk, and there was none",
    );
    assert.match(out, /^\| mix 4 × 6, 2 +\| +seed-router +\| +\d+ realtime \+ \d+ bulk/m);
    assert.doesNotMatch(out, /"layouts"/, "defect: it told layouts that nothing had");
    for (const policy of ["fcfs", "seed-router", "millrace"]) {
      const rows = out.split("\n").filter((line) => new RegExp(`\\| +${policy} \\|`).test(line));
      assert.equal(rows.length, 2, out);
    }
  });
}
