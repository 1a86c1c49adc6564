import { MillraceError } from "./wire/index.js";

/** What is used of a WebSocket, as every runtime's own and that of `ws` has it. */
export interface WebSocketLike {
  send(text: string): void;
  close(code?: number): void;
  addEventListener(
    type: "open" | "message" | "close" | "error",
    listener: (event: object) => void,
  ): void;
}

export type WebSocketClass = new (url: string, protocols: string[]) => WebSocketLike;

/** Throws `option_invalid` where the runtime has none. */
export function webSocketOf(option: true | WebSocketClass): WebSocketClass {
  if (option !== true) return option;
  const own: unknown = Reflect.get(globalThis, "WebSocket");
  if (typeof own === "function") return own as WebSocketClass;
  throw new MillraceError(
    "option_invalid",
    "This runtime has no WebSocket: pass a class like it, such as that of the package ws.",
  );
}
