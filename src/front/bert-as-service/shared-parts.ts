import type { FrontParts } from "../front.js";
import type { BertEncoder } from "./encode.js";
import type { ServerStatus } from "./server-status.js";
import type { Statistic } from "./statistic.js";

/** What both wires of the protocol have in common. */
export interface BertParts {
  readonly parts: FrontParts;
  readonly statistic: Statistic;
  readonly status: ServerStatus;
  readonly encoder: BertEncoder;
}
