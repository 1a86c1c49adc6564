/** Headers of a message; their package is loaded in this room only. */
import { headers, type MsgHdrs } from "@nats-io/transport-node";

export function natsHeaders(fields: Readonly<Record<string, string>>): MsgHdrs {
  const made = headers();
  for (const [name, value] of Object.entries(fields)) made.set(name, value);
  return made;
}
