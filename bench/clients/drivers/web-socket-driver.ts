/** `/v1/stream`: a connection for each caller, as each has its own program. */
import { once } from "node:events";
import type { StreamServerMessage } from "millrace-client/wire";
import { WebSocket } from "ws";
import type { Driver, DriverTarget } from "../drivers.js";

export async function webSocketDriver({ url, model, callers }: DriverTarget): Promise<Driver> {
  const target = `${url.replace(/^http/, "ws")}/v1/stream`;
  const sockets = Array.from({ length: callers }, () => new WebSocket(target));
  await Promise.all(sockets.map((socket) => once(socket, "open")));
  let last = 0;
  return {
    textsMax: 1_024,
    send: async (caller, texts) => {
      const socket = sockets[caller];
      if (socket === undefined) throw new Error(`there is no caller ${caller}`);
      last += 1;
      const id = String(last);
      const answered = vectorsOf(socket, id);
      const request = { type: "request", id, task: "embed", model, texts, encoding: "base64" };
      socket.send(JSON.stringify(request));
      return await answered;
    },
    [Symbol.asyncDispose]: async () => {
      const closed = sockets.map((socket) => once(socket, "close"));
      for (const socket of sockets) socket.close();
      await Promise.all(closed);
    },
  };
}

async function vectorsOf(socket: WebSocket, id: string): Promise<number> {
  return await new Promise((resolve, reject) => {
    let vectors = 0;
    const hear = (data: Buffer): void => {
      const message = JSON.parse(data.toString()) as StreamServerMessage;
      if (!("id" in message) || message.id !== id) return;
      if (message.type === "outcome" && !("error" in message.outcome)) vectors += 1;
      if (message.type !== "done" && message.type !== "error") return;
      socket.off("message", hear);
      if (message.type === "done") resolve(vectors);
      else reject(new Error(JSON.stringify(message.error)));
    };
    socket.on("message", hear);
  });
}
