/** What is compared with PyTorch: the rows of the table. */
import type { CaseSpec } from "../comparison/case-spec.js";

const target = 1.5;
const beams = 4;
const engine = { mode: "all", beams: 1, ours: "engine", share: 1, target } as const;
const pair = { ...engine, ours: "server" } as const;
const oneThread = { replicas: 1, threads: 1 } as const;
const twoThreads = { replicas: 1, threads: 2 } as const;
const twoProcesses = { replicas: 2, threads: 1 } as const;

export const cases: readonly CaseSpec[] = [
  {
    ...engine,
    name: "one",
    title: "one at a time, 1 thread",
    mode: "one",
    theirs: oneThread,
    share: 0.25,
  },
  { ...engine, name: "batch", title: "batch, 1 thread", theirs: oneThread },
  { ...engine, name: "beams", title: `${beams} beams, 1 thread`, beams, theirs: oneThread },
  { ...pair, name: "pair", title: "two pipelines : 2 threads", theirs: twoThreads },
  {
    ...pair,
    name: "pair-beams",
    title: `${beams} beams, two pipelines : 2 threads`,
    beams,
    theirs: twoThreads,
  },
  { ...pair, name: "processes", title: "two pipelines : 2 processes", theirs: twoProcesses },
  {
    ...pair,
    name: "processes-beams",
    title: `${beams} beams, two pipelines : 2 processes`,
    beams,
    theirs: twoProcesses,
  },
];

/** Of the engine alone, beside the rows: whether both say the same, token for token. */
export const outputsCase = "outputs";
