/** Some inputs of every parser; `npm run fuzz` has a million of each. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { TempDir } from "../support/temp-dir.js";
import { type OpenParser } from "./parser.js";
import { parsers } from "./parsers.js";
import { inputMsMax, runFuzz } from "./runner.js";

const inputs = 50;
const seed = 8;

describe("strangers' bytes are taken or refused, and nothing else", () => {
  for (const { name, open } of parsers) {
    test(name, async (t) => {
      await using dir = await TempDir.make();
      const range = { seed, from: 0, inputs };
      const parser = await open(dir.path);
      // What fifty inputs leave in memory is less than what chance does; `npm run fuzz` looks.
      const report = await runFuzz({ parser, range, looksAtMemory: false, onProgress: () => {} });
      t.diagnostic(`${report.inputs} inputs of seed ${seed}`);
      // How long one takes is for `npm run fuzz`: here others use the machine.
      const found = report.problems.filter(({ kind }) => kind !== "slow");
      assert.deepEqual(found, []);
      assert.ok(report.taken > 0 && report.taken < inputs, "some are good, and some are bad");
    });
  }
});

/** A parser with one flaw, found by what it does to numbers. */
function flawed(take: (input: number) => void | Promise<void>): OpenParser {
  const parser: OpenParser<number> = { make: (random) => random.int(0, 99), take };
  return parser as OpenParser;
}

async function kindsOf(take: (input: number) => void | Promise<void>): Promise<readonly string[]> {
  const range = { seed, from: 0, inputs: 200 };
  const { problems } = await runFuzz({ parser: flawed(take), range, onProgress: () => {} });
  return [...new Set(problems.map(({ kind }) => kind))];
}

describe("a flaw is noticed:", () => {
  test("an error that is none of ours, and one that is called internal", async () => {
    assert.deepEqual(await kindsOf(() => {}), []);
    assert.deepEqual(
      await kindsOf((input) => {
        if (input === 7) throw new TypeError("no");
      }),
      ["thrown"],
    );
    assert.deepEqual(
      await kindsOf(() => {
        throw new MillraceError("internal", "a bug");
      }),
      ["thrown"],
    );
  });

  test("an input that always takes long", async () => {
    const take = (input: number): void => {
      const before = process.cpuUsage();
      const startedAtMs = performance.now();
      // By both clocks that the runner reads: others may have the processor meanwhile, and threads of this process add to its time.
      const spentMs = (): number => {
        const { user, system } = process.cpuUsage(before);
        return Math.min((user + system) / 1_000, performance.now() - startedAtMs);
      };
      while (input === 7 && spentMs() <= inputMsMax + 1) continue;
    };
    assert.deepEqual(await kindsOf(take), ["slow"]);
  });

  test("memory that is kept, and files that stay open", async () => {
    const kept: Buffer[] = [];
    assert.deepEqual(await kindsOf(() => void kept.push(Buffer.alloc(64 * 1024))), ["leak"]);
  });
});
