/** What the parts of the listener share. */
import type { Access } from "../../access/access.js";
import type { Log } from "../../log.js";
import type { Metrics } from "../../metrics/metrics.js";
import type { Options } from "../../options/options.js";
import type { Tracer } from "../../tracing/tracer.js";
import type { BodyBudget } from "../body-budget.js";
import type { Identification } from "../identification.js";
import type { ReplyBudget } from "../reply-budget.js";
import type { Rounds } from "../rounds.js";
import type { Upgrades } from "../upgrade.js";
import type { DecompressionTurns } from "./decompression-turns.js";
import type { HttpFront } from "./http-front.js";

export type HttpLimits = Pick<
  Options,
  | "host"
  | "port"
  | "connectionsMax"
  | "headersTimeoutMs"
  | "bodyTimeoutMs"
  | "replyTimeoutMs"
  | "keepAliveMs"
  | "bodyBytesMax"
  | "bodiesBytesMax"
  | "repliesBytesMax"
>;

export interface ListenerContext {
  readonly limits: HttpLimits;
  readonly identification: Identification;
  readonly access: Access;
  /** In its words is told what went wrong before a path was known. */
  readonly defaultFront: HttpFront;
  readonly metrics: Pick<Metrics, "replied" | "refused" | "polled">;
  readonly log: Log;
  readonly tracer: Tracer;
  readonly bodies: BodyBudget;
  readonly replies: ReplyBudget;
  /** Null: no connection is handed over. */
  readonly upgrades: Upgrades | null;
  readonly decompressions: DecompressionTurns;
  readonly reads: Rounds;
  /** A stream that is silent for this long sends a sign of life. */
  readonly signOfLifeMs: number;
  /** The monotonic clock. */
  readonly nowMs: () => number;
  /** From then on every reply closes its connection. */
  isDraining(): boolean;
}
