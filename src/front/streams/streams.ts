/**
 * READ FIRST of this folder. WebSockets for Millrace's own words ([docs/streams.md](../../../docs/streams.md)):
 *
 *   stream.ts        `/v1/stream`: many requests on one connection, outcomes as they come
 *   running.ts       one of them, and its outcomes that wait for credit
 *   pair.ts          `/feed` and `/rev`: a request a message, one reply, on every connection of a session
 *   messages.ts      a message → an object, and what it may say
 *
 * Over HTTP the same paths say that a WebSocket is needed.
 */
import { MillraceError } from "millrace-client/wire";
import type { HttpFront, Reply, Route } from "../../listen/http/http-front.js";
import type { Front, FrontParts } from "../front.js";
import { ownError, ownErrorSchema } from "../own-error.js";
import { Pairs } from "./pair.js";
import { openStream, streamDoc } from "./stream.js";

export function openStreamsFront(parts: FrontParts): Front {
  const pairs = new Pairs(parts);
  return {
    http: new StreamsOverHttp(parts),
    webSocket: {
      endpoints: [
        { path: "/v1/stream", open: (channel) => openStream(channel, parts) },
        ...pairs.endpoints,
      ],
    },
  };
}

class StreamsOverHttp implements HttpFront {
  readonly name = "streams";
  readonly pathPrefixes: readonly string[] = [];
  readonly routes: readonly Route[];
  readonly errorSchema = ownErrorSchema;
  readonly #parts: Pick<FrontParts, "views">;

  constructor(parts: Pick<FrontParts, "views">) {
    this.#parts = parts;
    const docs = { "/v1/stream": streamDoc, ...Pairs.docs };
    this.routes = Object.entries(docs).map(([path, doc]) => ({
      path,
      method: "GET",
      doc,
      handler: () => {
        throw new MillraceError(
          "upgrade_required",
          `${path} speaks WebSocket: connect to it with a client for those (docs/streams.md).`,
        );
      },
    }));
  }

  renderError(error: MillraceError, id: string): Reply {
    const reply = ownError(error, id, this.#parts.views);
    if (error.code !== "upgrade_required") return reply;
    return { ...reply, headers: { ...reply.headers, upgrade: "websocket" } };
  }
}
