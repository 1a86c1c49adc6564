/** One request over HTTP, and all of its reply. Nothing is sent again: what is lost must show. */
import { type Agent, request } from "node:http";
import { text } from "node:stream/consumers";

export interface Posted {
  readonly status: number;
  readonly reply: string;
}

/** @throws where the connection fails */
export async function post(agent: Agent, url: URL, body: string): Promise<Posted> {
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  return await new Promise((resolve, reject) => {
    const sent = request(url, { method: "POST", agent, headers }, (response) => {
      text(response).then((reply) => resolve({ status: response.statusCode ?? 0, reply }), reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** Opens so many connections, which `agent` keeps: what is measured next does not begin with handshakes. */
export async function openConnections(agent: Agent, url: URL, count: number): Promise<void> {
  const open = async (): Promise<void> =>
    await new Promise((resolve, reject) => {
      const sent = request(new URL("/live", url), { agent }, (response) => {
        response.resume().on("end", resolve).on("error", reject);
      });
      sent.on("error", reject);
      sent.end();
    });
  await Promise.all(Array.from({ length: count }, open));
}
