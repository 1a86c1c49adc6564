/** What is compared with a rival: a row of the table. */
export interface CaseSpec {
  readonly name: string;
  readonly title: string;
  readonly mode: "one" | "all";
  readonly beams: number;
  /** Millrace's side; the server's are asked inside their own process, unless HTTP is named. */
  readonly ours: "engine" | "two-engines" | "server" | "default-server" | "http-one" | "http-64";
  readonly theirs: RivalLayout;
  /** Of the sentences of a round; one at a time takes longer, and callers that come and go need many until their beginning and end are little. */
  readonly share: number;
  /** Sentences that each side translates before the first round, where one turn is not enough: JavaScript is compiled as it runs. */
  readonly warmCount?: number;
  /** Sentences of a round, whatever --count says. */
  readonly count?: number;
  /** Of Millrace ÷ the rival. */
  readonly target: number | null;
}

export interface RivalLayout {
  /** Each has half of the sentences where there are two. */
  readonly replicas: 1 | 2;
  /** Of each replica. */
  readonly threads: 1 | 2;
}
