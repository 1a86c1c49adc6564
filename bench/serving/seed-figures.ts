/**
 * The seeds' own tables, as their pages print them: a data file sent by ECTrans' client in batches, to a server on their GPU with two
 * workers of an encoder and a decoder each (cfl2005/ECTransformer, `framework/pipeline_demo`, version 2021-08). Their model has the size of
 * Transformer base and three beams; so the columns beside ours are what they had, not a race on one machine.
 */
export interface SeedFigure {
  readonly server: "ECTrans" | "ECTrans_pipeline";
  readonly file: string;
  readonly batch: number;
  /** Clients that sent the file at the same time, each all of it. */
  readonly callers: number;
  /** Of the slower caller, where there are two. */
  readonly totalMs: number;
}

export const seedFigures: readonly SeedFigure[] = [
  { server: "ECTrans", file: "data_100", batch: 8, callers: 1, totalMs: 8_735.405684 },
  { server: "ECTrans", file: "data_500", batch: 8, callers: 1, totalMs: 39_354.655266 },
  { server: "ECTrans", file: "data_1k", batch: 8, callers: 1, totalMs: 76_885.8881 },
  { server: "ECTrans", file: "data_2k", batch: 64, callers: 1, totalMs: 124_127.825499 },
  { server: "ECTrans", file: "data_4k", batch: 64, callers: 1, totalMs: 235_248.334408 },
  { server: "ECTrans", file: "data_2k", batch: 128, callers: 1, totalMs: 127_796.109438 },
  { server: "ECTrans", file: "data_4k", batch: 128, callers: 1, totalMs: 242_990.249634 },
  { server: "ECTrans_pipeline", file: "data_100", batch: 8, callers: 1, totalMs: 7_986.178875 },
  { server: "ECTrans_pipeline", file: "data_2k", batch: 64, callers: 1, totalMs: 108_162.456036 },
  { server: "ECTrans_pipeline", file: "data_2k", batch: 128, callers: 1, totalMs: 108_423.223734 },
  { server: "ECTrans_pipeline", file: "data_4k", batch: 64, callers: 1, totalMs: 213_677.032709 },
  { server: "ECTrans_pipeline", file: "data_4k", batch: 128, callers: 1, totalMs: 217_815.237999 },
  { server: "ECTrans_pipeline", file: "data_2k", batch: 128, callers: 2, totalMs: 214_356.784582 },
];

/** Lines of a seeds' file. */
export const linesOfFile: Readonly<Record<string, number>> = {
  data_100: 100,
  data_500: 500,
  data_1k: 1_000,
  data_2k: 2_000,
  data_4k: 4_000,
};
