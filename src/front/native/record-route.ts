/** `GET /v1/record`: what arrives, as lines, for whoever may administrate. */
import { recordSecondsMax } from "millrace-client/wire";
import type { Exchange, Route } from "../../listen/http/http-front.js";
import type { Recorder } from "../../record/recorder.js";
import { queryCount, refuseUnknownQuery } from "./query.js";
import { nativeDocs } from "./route-docs.js";

const secondsDefault = 60;

export function recordRoute(recorder: Recorder): Route {
  return {
    path: "/v1/record",
    method: "GET",
    access: "admin",
    isHeld: true,
    doc: nativeDocs.record,
    handler: async (exchange) => await sendRecording(exchange, recorder),
  };
}

async function sendRecording(exchange: Exchange, recorder: Recorder): Promise<void> {
  const { query, departed } = exchange;
  refuseUnknownQuery(query, ["seconds"]);
  const seconds = queryCount(query, "seconds", [1, recordSecondsMax]) ?? secondsDefault;
  using reader = recorder.read({ ms: 1_000 * seconds });
  const onDeparted = (): void => reader.abandon();
  departed.addEventListener("abort", onDeparted, { once: true });
  try {
    if (departed.aborted) return;
    const reply = exchange.stream({ status: 200, contentType: "application/x-ndjson" });
    for (let text = await reader.next(); text !== null; text = await reader.next()) {
      reply.write(text);
      await reply.ready();
    }
    await reply.end();
  } finally {
    departed.removeEventListener("abort", onDeparted);
  }
}
