/** What is compared with CTranslate2: the rows of the table. */
import type { CaseSpec } from "../comparison/case-spec.js";

const one = { replicas: 1, threads: 1 } as const;
const inter2 = { replicas: 2, threads: 1 } as const;
const usual = { mode: "all", beams: 1, share: 1 } as const;
const beams = 4;

export const cases: readonly CaseSpec[] = [
  {
    ...usual,
    name: "one",
    title: "one at a time, 1 thread",
    mode: "one",
    ours: "engine",
    theirs: one,
    share: 0.25,
    target: 1.1,
  },
  { ...usual, name: "batch", title: "batch, 1 thread", ours: "engine", theirs: one, target: null },
  {
    ...usual,
    name: "beams",
    title: `${beams} beams, 1 thread`,
    beams,
    ours: "engine",
    theirs: one,
    target: null,
  },
  {
    ...usual,
    name: "engines",
    title: "two engines without a server : inter 2",
    ours: "two-engines",
    theirs: inter2,
    target: 1.1,
  },
  {
    ...usual,
    name: "engines-beams",
    title: `${beams} beams, two engines without a server : inter 2`,
    beams,
    ours: "two-engines",
    theirs: inter2,
    target: 1.1,
  },
  {
    ...usual,
    name: "pair",
    title: "two pipelines : inter 2",
    ours: "server",
    theirs: inter2,
    target: 1.1,
  },
  {
    ...usual,
    name: "pair-beams",
    title: `${beams} beams, two pipelines : inter 2`,
    beams,
    ours: "server",
    theirs: inter2,
    target: 1.1,
  },
  {
    ...usual,
    name: "default",
    title: "the default configuration : inter 2",
    ours: "default-server",
    theirs: inter2,
    target: 1,
  },
  {
    ...usual,
    name: "default-beams",
    title: `${beams} beams, the default configuration : inter 2`,
    beams,
    ours: "default-server",
    theirs: inter2,
    target: 1,
  },
  {
    ...usual,
    name: "waiting",
    title: "1,792 sentences waiting, two pipelines : inter 2",
    ours: "server",
    theirs: inter2,
    count: 1792,
    target: 1.1,
  },
  {
    ...usual,
    name: "http-one",
    title: "through HTTP as one request, two pipelines : inter 2 in-process",
    ours: "http-one",
    theirs: inter2,
    warmCount: 1792,
    target: null,
  },
  {
    ...usual,
    name: "http-64",
    title: "through HTTP, 64 callers, two pipelines : inter 2 in-process",
    ours: "http-64",
    theirs: inter2,
    share: 4,
    warmCount: 5376,
    target: 0.9,
  },
];

/** What is measured once, beside the rows. */
export const extras = ["memory", "outputs"] as const;
