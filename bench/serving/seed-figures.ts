/**
 * The seeds' own tables, as their pages print them: a data file sent by ECTrans' client in batches, to a server on their GPU that
 * was started with `--workers=2` (cfl2005/ECTransformer, `framework/pipeline_demo`, August 2021). Their model has the size of Transformer base
 * and 3 beams: what stands beside ours is what they had, and no race on one machine.
 */
export interface SeedFigure {
  readonly server: "ECTrans" | "ECTrans_pipeline";
  readonly file: string;
  /** Of the file. */
  readonly lines: number;
  readonly batch: number;
  /** Clients that sent the file at the same time, each all of it. */
  readonly callers: number;
  /** Of the slower caller, where there are two. */
  readonly totalMs: number;
}

export const seedFigures: readonly SeedFigure[] = [
  { server: "ECTrans", file: "data_100", lines: 100, batch: 8, callers: 1, totalMs: 8_735.405684 },
  { server: "ECTrans", file: "data_500", lines: 500, batch: 8, callers: 1, totalMs: 39_354.655266 },
  { server: "ECTrans", file: "data_1k", lines: 1_000, batch: 8, callers: 1, totalMs: 76_885.8881 },
  {
    server: "ECTrans",
    file: "data_2k",
    lines: 2_000,
    batch: 64,
    callers: 1,
    totalMs: 124_127.825499,
  },
  {
    server: "ECTrans",
    file: "data_4k",
    lines: 4_000,
    batch: 64,
    callers: 1,
    totalMs: 235_248.334408,
  },
  {
    server: "ECTrans",
    file: "data_2k",
    lines: 2_000,
    batch: 128,
    callers: 1,
    totalMs: 127_796.109438,
  },
  {
    server: "ECTrans",
    file: "data_4k",
    lines: 4_000,
    batch: 128,
    callers: 1,
    totalMs: 242_990.249634,
  },
  {
    server: "ECTrans_pipeline",
    file: "data_100",
    lines: 100,
    batch: 8,
    callers: 1,
    totalMs: 7_986.178875,
  },
  {
    server: "ECTrans_pipeline",
    file: "data_2k",
    lines: 2_000,
    batch: 64,
    callers: 1,
    totalMs: 108_162.456036,
  },
  {
    server: "ECTrans_pipeline",
    file: "data_2k",
    lines: 2_000,
    batch: 128,
    callers: 1,
    totalMs: 108_423.223734,
  },
  {
    server: "ECTrans_pipeline",
    file: "data_4k",
    lines: 4_000,
    batch: 64,
    callers: 1,
    totalMs: 213_677.032709,
  },
  {
    server: "ECTrans_pipeline",
    file: "data_4k",
    lines: 4_000,
    batch: 128,
    callers: 1,
    totalMs: 217_815.237999,
  },
  {
    server: "ECTrans_pipeline",
    file: "data_2k",
    lines: 2_000,
    batch: 128,
    callers: 2,
    totalMs: 214_356.784582,
  },
];
