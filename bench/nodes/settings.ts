/** What the parts of the benchmark are given. */
import type { NatsServer } from "../../test/support/nats-server.js";
import type { Report } from "../harness/report.js";
import type { NodeNetwork } from "./network.js";

export interface NodesSettings {
  readonly report: Report;
  /** Where to write. */
  readonly parent: string;
  /** A folder with the translation model alone. */
  readonly timedModels: string;
  readonly network: NodeNetwork;
  readonly nats: NatsServer;
  /** Of its monitoring. */
  readonly natsMonitorUrl: string;
  readonly rounds: number;
  /** Of one measurement. */
  readonly ms: number;
  /** Sentences of a bulk measurement, for each node. */
  readonly lines: number;
  /** Realtime requests a second, for each node. */
  readonly rate: number;
  readonly seed: number;
  readonly factor: number;
}
