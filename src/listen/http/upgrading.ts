/** Requests that ask for another protocol on their connection. */
import { type IncomingMessage, type Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { lingerThenDestroy } from "./linger.js";

export function asksForWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade?.trim().toLowerCase() === "websocket";
}

/**
 * Some clients (Java's, curl's) ask for HTTP/2 by the way, and take no for an answer. Node hands over such a request for
 * good as soon as anybody listens for upgrades: it is given back, as if its client had not asked.
 */
export function withoutUpgrade(server: Server, request: IncomingMessage, head: Buffer): void {
  const { socket } = request;
  socket.unshift(Buffer.concat([plainHead(request), head]));
  server.emit("encrypted" in socket ? "secureConnection" : "connection", socket);
}

function plainHead({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  const lines = [`${method ?? "GET"} ${url ?? "/"} HTTP/${httpVersion}`];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    const value = rawHeaders[at + 1] ?? "";
    const isAsking = /^(?:upgrade|http2-settings)$/i.test(name);
    if (!isAsking)
      lines.push(`${name}: ${name.toLowerCase() === "connection" ? kept(value) : value}`);
  }
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

/** What else the client says of the connection, such as that it ends. */
function kept(connection: string): string {
  const others = connection
    .split(",")
    .filter((word) => !/^\s*(?:upgrade|http2-settings)\s*$/i.test(word));
  return others.join(",").trim();
}

/** For a request that has none: Node makes none where a connection may be handed over. */
export function responseTo(request: IncomingMessage, socket: Socket): ServerResponse {
  // The parser has let go of the connection, and nobody else hears of a reset.
  socket.on("error", () => {});
  const response = new ServerResponse(request);
  response.assignSocket(socket);
  response.once("finish", () => {
    socket.end();
    lingerThenDestroy(socket);
  });
  return response;
}
