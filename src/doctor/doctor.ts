/**
 * READ FIRST of this folder. Why a server is slow, refuses or fails: a pure function of what was seen of it over some time.
 *
 *   window.ts    two looks and the samples between ─► figures.ts: reckoned once ─► rules/: each says what it finds, or nothing
 *                                                                                      │
 *   finding-table.ts: every code, the worst first ───────────────────────────────────► sorted: problems, then notices
 *
 * What merely follows from something that is named is left out. account.ts says where the time went, healthy or not.
 */
import type { Finding } from "millrace-client/wire";
import type { Draft, Rule } from "./draft.js";
import { figuresOf } from "./figures.js";
import { type FindingCode, findingCodes } from "./finding-table.js";
import { callerRules } from "./rules/caller-rules.js";
import { jobRules } from "./rules/job-rules.js";
import { modelRules } from "./rules/model-rules.js";
import { pipelineRules } from "./rules/pipeline-rules.js";
import { queueRules } from "./rules/queue-rules.js";
import { serverRules } from "./rules/server-rules.js";
import type { DoctorWindow } from "./window.js";

const rules: readonly Rule[] = [
  ...serverRules,
  ...modelRules,
  ...jobRules,
  ...pipelineRules,
  ...queueRules,
  ...callerRules,
];

/** Worst first; empty: healthy. The same window gives the same. */
export function diagnose(window: DoctorWindow): readonly Finding[] {
  const figures = figuresOf(window);
  const found = rules.flatMap((rule) => rule(figures));
  return withoutFollowing(found).toSorted(
    (a, b) => severityRank(a) - severityRank(b) || codeRank(a.code) - codeRank(b.code),
  );
}

function severityRank({ severity }: Draft): number {
  return severity === "problem" ? 0 : 1;
}

function codeRank(code: FindingCode): number {
  return findingCodes.indexOf(code);
}

/** By what is named, what follows from it and says nothing more. */
const following: Readonly<Partial<Record<FindingCode, readonly FindingCode[]>>> = {
  draining: ["not-ready", "server-restarted"],
  "nats-away": ["not-ready"],
  "pipeline-restarts": ["not-ready"],
  "model-load-fails": ["not-ready"],
  "model-too-large": ["not-ready"],
  "queue-full": ["queue-grows"],
  "front-late": ["prepare-slow"],
};

function withoutFollowing(found: readonly Draft[]): readonly Draft[] {
  const named = new Set(found.map(({ code }) => code));
  const left = new Set([...named].flatMap((code) => following[code] ?? []));
  return found.filter(({ code }) => !left.has(code));
}
