/** What the parts of the HTTP front share. */
import type { Log } from "../../log.js";
import type { Metrics } from "../../metrics/metrics.js";
import type { Options } from "../../options/table.js";
import type { Submit } from "../../submit/submit.js";
import type { ServerViews } from "../../work/views.js";

export type HttpOptions = Pick<
  Options,
  | "host"
  | "port"
  | "connectionsMax"
  | "headersTimeoutMs"
  | "bodyTimeoutMs"
  | "replyTimeoutMs"
  | "keepAliveMs"
  | "bodyBytesMax"
  | "requestInputsMax"
  | "requestTimeoutMsDefault"
  | "requestTimeoutMsMax"
>;

export interface HttpFrontDeps {
  readonly submit: Submit;
  readonly views: ServerViews;
  readonly options: HttpOptions;
  readonly metrics: Metrics;
  readonly log: Log;
}

export interface HttpContext extends HttpFrontDeps {
  /** From then on every reply closes its connection. */
  isDraining(): boolean;
}
