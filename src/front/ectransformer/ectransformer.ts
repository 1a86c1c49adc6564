/**
 * READ FIRST of this folder. What the clients of ECTrans send over REQ or DEALER, and read from SUB: translations of texts, or of token
 * ids that they have made themselves.
 *
 *   in    {"tid": 1630303041986551, "texts": [...], "length": N}    a task; of older clients {"id": "<task>_<i>", "texts": [...]}
 *   back  OK                                                        at once; any other text is a refusal
 *   out   {"client_id":"<tid>_<i>","result":["…", …]}               its parts, in order; {"id":"<task>_<i>", …} for older clients
 *         {"utime":[…, …]}                                          to who subscribed to that
 *
 *   read-task.ts   JSON → a task
 *   parts.ts       outcomes as they come → parts in order
 *   task-order.ts  messages of one task, one after the other
 *   zmq-wire.ts    the rest
 */
import type { Front, FrontParts } from "../front.js";
import { EctransWire } from "./zmq-wire.js";

/** Speaks nothing unless an option says so. */
export function openEctransformerFront(parts: FrontParts): Front {
  const { zmqPort: port, zmqPortOut: portOut } = parts.options;
  if (port === null || portOut === null) return {};
  return { zmq: new EctransWire(parts, { port, portOut }) };
}
