/**
 * Makes situations, prints what the doctor says of each, and writes what was seen to test/fixtures/doctor.jsonl, where test/unit/doctor.test.ts
 * has it from: `node build/test/support/situations/record.js [WORD…]`, those whose name holds a word, or all. By itself on a machine.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diagnose } from "#src/doctor/doctor.js";
import type { DoctorWindow } from "#src/doctor/window.js";
import { readRecorded, recordedFile } from "./recorded.js";
import type { Situation } from "./situation.js";
import { situations } from "./situations.js";

const batchesKept = 8;

/** What no rule looks at is left out. */
function shortened({ before, after, samples }: DoctorWindow): DoctorWindow {
  const look = (each: DoctorWindow["after"]): DoctorWindow["after"] => {
    const { batches } = each.status;
    const recent = batches.recent.slice(0, batchesKept);
    return { ...each, status: { ...each.status, batches: { ...batches, recent }, stages: [] } };
  };
  const short = samples.map((each) => ({
    ...each,
    pipelines: each.pipelines.map((pipeline) => ({ ...pipeline, work: [] })),
  }));
  return { before: look(before), after: look(after), samples: short };
}

/** Null where the doctor does not say what it should. */
async function record({ name, expected, watch }: Situation): Promise<DoctorWindow | null> {
  const window = await watch();
  const findings = diagnose(window);
  const isRight = (findings[0]?.code ?? null) === expected;
  const codes = findings.map(({ code, severity }) => `${code} (${severity})`);
  console.log(`${isRight ? "as expected" : "WRONG"}  ${name}: ${codes.join(", ") || "healthy"}`);
  if (isRight) return shortened(window);
  const file = join(tmpdir(), `millrace-doctor-${name.replace(/\W+/g, "-")}.json`);
  writeFileSync(file, JSON.stringify(window));
  console.log(`  expected ${expected ?? "healthy"}; what was seen is in ${file}`);
  process.exitCode = 1;
  return null;
}

const words = process.argv.slice(2);
const before = readRecorded(readFileSync(recordedFile, "utf8"));
const recorded = new Map(before.map(({ name, window }) => [name, window]));
for (const each of situations) {
  const isChosen = words.length === 0 || words.some((word) => each.name.includes(word));
  if (!isChosen || typeof each.skip === "string") continue;
  const window = await record(each);
  if (window !== null) recorded.set(each.name, window);
}
const lines = situations.flatMap(({ name }) => {
  const window = recorded.get(name);
  return window === undefined ? [] : [`${JSON.stringify({ name, window })}\n`];
});
writeFileSync(recordedFile, lines.join(""));
