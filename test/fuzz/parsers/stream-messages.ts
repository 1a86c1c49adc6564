/** Messages on WebSockets: those of `/v1/stream`, some of them on one connection. What is wrong is said there, with its code. */
import { setImmediate } from "node:timers/promises";
import { isErrorCode, MillraceError } from "millrace-client/wire";
import { openStreamsFront } from "#src/front/streams/streams.js";
import type { Channel } from "#src/listen/websocket/websocket-front.js";
import { anyCaller } from "#src/work/caller.js";
import { mutateJson } from "../mutate.js";
import { defineParser, type FuzzParser, goodShare } from "../parser.js";
import { fuzzFrontParts } from "./fuzz-front-parts.js";

const good: readonly object[] = [
  { type: "request", id: "1", task: "translate", texts: ["Good morning.", "See you."], credit: 4 },
  { type: "request", id: "2", task: "embed", model: "embed", texts: "hello", encoding: "base64" },
  { type: "credit", outcomes: 10, id: "1" },
  { type: "cancel", id: "1" },
  { type: "ping" },
];

export const streamParser: FuzzParser = defineParser<readonly (string | Uint8Array)[]>({
  name: "websocket-messages",
  open: () => {
    const { webSocket } = openStreamsFront(fuzzFrontParts());
    const endpoint = webSocket?.endpoints.find(({ path }) => path === "/v1/stream");
    if (endpoint === undefined) throw new Error("there is no /v1/stream");
    return {
      make: (random) => {
        const isGood = random.chance(goodShare);
        return Array.from({ length: random.int(1, 4) }, () => {
          const message = random.pick(good);
          if (isGood || random.chance(0.2)) return JSON.stringify(message);
          const text = mutateJson(random, message);
          return random.chance(0.95) ? text : Buffer.from(text);
        });
      },
      take: async (messages) => {
        const said: string[] = [];
        const closed = new AbortController();
        const hearer = endpoint.open(channelOf(said, closed.signal));
        for (const message of messages) {
          await hearer.onMessage(message, { atMs: performance.now(), bytes: message.length });
        }
        // What was asked is answered a turn later.
        await setImmediate();
        closed.abort();
        await setImmediate();
        refuseAs(said);
      },
    };
  },
});

function channelOf(said: string[], closed: AbortSignal): Channel {
  return {
    id: "1",
    caller: anyCaller,
    query: new URLSearchParams(),
    closed,
    say: (text) => void said.push(String(text)),
    keep: () => {},
    hold: () => () => {},
    begin: () => null,
    told: (thrown) => {
      if (thrown instanceof MillraceError) return thrown;
      said.push(JSON.stringify({ type: "error", error: { code: "bug", message: String(thrown) } }));
      return new MillraceError("internal", "a bug");
    },
    replied: () => {},
  };
}

/** Throws as the first error that was said. */
function refuseAs(said: readonly string[]): void {
  for (const text of said) {
    const { type, error } = JSON.parse(text) as {
      readonly type: string;
      readonly error?: { readonly code: string; readonly message: string };
    };
    if (type !== "error" || error === undefined) continue;
    if (!isErrorCode(error.code)) throw new Error(error.message);
    throw new MillraceError(error.code, error.message);
  }
}
