/** What an item costs: all that the scheduler knows of it. */
export interface Cost {
  /** What the time of a run is a line of: tokens, pixels. */
  readonly units: number;
  /** What it pads to: in a batch, everything is as wide as the widest. */
  readonly width: number;
  /** Rows that it takes while it runs, such as its beams. */
  readonly rows: number;
  /** Bytes that it holds from prepare to its outcome. */
  readonly bytes: number;
  /** Only items of one key share a batch: a tensor's shape, say; empty where nothing forbids it. */
  readonly batchKey: string;
}
