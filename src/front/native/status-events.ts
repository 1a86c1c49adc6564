/** `GET /status/events`: what the server does, as server-sent events, for as long as somebody looks on. */
import { MillraceError } from "millrace-client/wire";
import type { Exchange } from "../../listen/http/http-front.js";
import type { StatusFeed } from "../../metrics/status-feed.js";
import type { Caller } from "../../work/caller.js";
import type { FrontParts } from "../front.js";
import { queryCount, refuseUnknownQuery } from "./query.js";

/** A reader that lost the connection, or was sent away because the server stops, comes back after this. */
const retryMs = 1_000;
/** Each costs a connection, and what it is sent. */
const watchersMax = 100;

type WatchedParts = Pick<FrontParts, "renewed"> & { readonly feed: StatusFeed };

/** A reader that is slow gets the latest look, and not all that were before. */
export async function sendStatusEvents(
  exchange: Exchange,
  { feed, renewed = (caller) => caller }: WatchedParts,
): Promise<void> {
  if (feed.watching >= watchersMax) {
    throw new MillraceError("too_many_connections", `${watchersMax} watch already`);
  }
  refuseUnknownQuery(exchange.query, ["looks"]);
  const looksMax = queryCount(exchange.query, "looks", [1, 1_000_000]) ?? Infinity;
  using watch = feed.watch();
  const reply = exchange.stream({ status: 200, contentType: "text/event-stream" });
  reply.write(`retry: ${retryMs}\n\nevent: history\ndata: ${feed.history}\n\n`);
  for (let looks = 0; looks < looksMax; looks += 1) {
    await reply.ready();
    const look = await watch.next();
    if (look === null || exchange.departed.aborted) break;
    if (!mayStillLook(exchange.caller, renewed)) break;
    reply.write(`event: status\ndata: ${look}\n\n`);
  }
  await reply.end();
}

/** A stream may outlive its key; whoever asks again hears why. */
function mayStillLook(caller: Caller, renewed: (caller: Caller) => Caller): boolean {
  try {
    return renewed(caller).isAdmin;
  } catch {
    return false;
  }
}
