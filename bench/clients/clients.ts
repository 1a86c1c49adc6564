/**
 * `npm run bench -- clients`: what it costs to speak the clients' protocols, and what a caller gains beside the usual way to serve a
 * model. Models have made weights; sides take turns in one run, and figures are medians with the least and the most.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describeMachine } from "../machine.js";
import { benchFrontAlone } from "./front-alone.js";
import { Report } from "./report.js";
import type { ClientsSettings } from "./settings.js";

const usage = `npm run bench -- clients [flags]
  --parts LIST     of front (default: all)
  --rounds N       (default: 5)
  --seconds N      of one measurement (default: 5)
  --callers N      (default: 64)
  --profile DIR    servers of the benchmark write CPU profiles there
  --json FILE      the figures as JSON`;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      parts: { type: "string", default: "front" },
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "5" },
      callers: { type: "string", default: "64" },
      profile: { type: "string" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return console.log(usage);
  const parts = new Set(values.parts.split(","));
  const report = new Report((line) => console.log(line));
  const machine = describeMachine();
  report.say(machine);
  const parent = await mkdtemp(join(tmpdir(), "millrace-bench-clients-"));
  const settings: ClientsSettings = {
    report,
    parent,
    rounds: Number(values.rounds),
    ms: 1_000 * Number(values.seconds),
    callers: Number(values.callers),
    profileDir: values.profile ?? null,
  };
  try {
    if (parts.has("front")) await benchFrontAlone(settings);
  } finally {
    await rm(parent, { recursive: true, force: true });
  }
  if (values.json !== undefined) await writeFile(values.json, report.json(machine));
}
