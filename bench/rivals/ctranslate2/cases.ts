/** What is compared with CTranslate2: the rows of the table. */
export interface CaseSpec {
  readonly name: string;
  readonly title: string;
  readonly mode: "one" | "all";
  readonly beams: number;
  /** Millrace's side; the server's are asked inside their own process, unless HTTP is named. */
  readonly ours: "engine" | "two-engines" | "server" | "default-server" | "http-one" | "http-64";
  /** CTranslate2's replicas, of one thread each. */
  readonly inter: 1 | 2;
  /** Of the sentences of a round; one at a time takes longer, and callers that come and go need many until their beginning and end are little. */
  readonly share: number;
  /** Sentences that each side translates before the first round, where one turn is not enough: JavaScript is compiled as it runs. */
  readonly warmCount?: number;
  /** Sentences of a round, whatever --count says. */
  readonly count?: number;
  /** Of Millrace ÷ CTranslate2. */
  readonly target: number | null;
}

const usual = { mode: "all", beams: 1, share: 1 } as const;
const beams = 4;

export const cases: readonly CaseSpec[] = [
  {
    ...usual,
    name: "one",
    title: "one at a time, 1 thread",
    mode: "one",
    ours: "engine",
    inter: 1,
    share: 0.25,
    target: 1.1,
  },
  { ...usual, name: "batch", title: "batch, 1 thread", ours: "engine", inter: 1, target: null },
  {
    ...usual,
    name: "beams",
    title: `${beams} beams, 1 thread`,
    beams,
    ours: "engine",
    inter: 1,
    target: null,
  },
  {
    ...usual,
    name: "engines",
    title: "two engines without a server : inter 2",
    ours: "two-engines",
    inter: 2,
    target: 1.1,
  },
  {
    ...usual,
    name: "engines-beams",
    title: `${beams} beams, two engines without a server : inter 2`,
    beams,
    ours: "two-engines",
    inter: 2,
    target: 1.1,
  },
  {
    ...usual,
    name: "pair",
    title: "two pipelines : inter 2",
    ours: "server",
    inter: 2,
    target: 1.1,
  },
  {
    ...usual,
    name: "pair-beams",
    title: `${beams} beams, two pipelines : inter 2`,
    beams,
    ours: "server",
    inter: 2,
    target: 1.1,
  },
  {
    ...usual,
    name: "default",
    title: "the default configuration : inter 2",
    ours: "default-server",
    inter: 2,
    target: 1,
  },
  {
    ...usual,
    name: "default-beams",
    title: `${beams} beams, the default configuration : inter 2`,
    beams,
    ours: "default-server",
    inter: 2,
    target: 1,
  },
  {
    ...usual,
    name: "waiting",
    title: "1,792 sentences waiting, two pipelines : inter 2",
    ours: "server",
    inter: 2,
    count: 1792,
    target: 1.1,
  },
  {
    ...usual,
    name: "http-one",
    title: "through HTTP as one request, two pipelines : inter 2 in-process",
    ours: "http-one",
    inter: 2,
    warmCount: 1792,
    target: null,
  },
  {
    ...usual,
    name: "http-64",
    title: "through HTTP, 64 callers, two pipelines : inter 2 in-process",
    ours: "http-64",
    inter: 2,
    share: 4,
    warmCount: 5376,
    target: 0.9,
  },
];

/** What is measured once, beside the rows. */
export const extras = ["memory", "outputs"] as const;
export type Extra = (typeof extras)[number];
