/**
 * READ FIRST of this folder. What the clients of bert-as-service 1.10 send and read, over ZeroMQ (zmq-wire.ts) and over HTTP
 * (http-routes.ts): the same vectors of the same model, by the options of `bert-…`.
 *
 *   zmq-wire.ts       frames ⇄ requests, and an error where the protocol has no word for one
 *   encode.ts         texts or tokens → a question for submit → rows of numbers
 *   server-status.ts  what SHOW_CONFIG and SHOW_STATUS tell, from memory
 *   statistic.ts      what is counted for SHOW_STATUS
 */
import type { Front, FrontParts } from "../front.js";
import { BertEncoder } from "./encode.js";
import { BertRoutes } from "./http-routes.js";
import { ServerStatus } from "./server-status.js";
import { Statistic } from "./statistic.js";
import { BertWire } from "./zmq-wire.js";

/** Speaks nothing unless an option says so: its paths and ports may be somebody else's. */
export function openBertFront(parts: FrontParts): Front {
  const { bertPort, bertPortOut, bertHttp } = parts.options;
  const statistic = new Statistic(() => performance.now());
  const status = new ServerStatus(parts, statistic);
  const shared = { parts, statistic, status, encoder: new BertEncoder(parts) };
  const zmq =
    bertPort === null || bertPortOut === null
      ? {}
      : { zmq: new BertWire(shared, { port: bertPort, portOut: bertPortOut }) };
  return { ...zmq, ...(bertHttp ? { http: new BertRoutes(shared) } : {}) };
}
