/** Protocols over HTTP with JSON, by Node's own client: fetch takes 2 ms of its own for a request. */
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import type { Driver, DriverTarget } from "../drivers.js";

interface HttpProtocol {
  readonly path: (model: string) => string;
  readonly body: (texts: readonly string[], model: string) => object;
  /** Vectors in the reply. */
  readonly count: (reply: unknown) => number;
  readonly textsMax: number;
}

export function httpDriver(protocol: HttpProtocol): (target: DriverTarget) => Promise<Driver> {
  return ({ url, model, callers }) => {
    const agent = new Agent({ keepAlive: true, maxSockets: callers });
    const target = new URL(protocol.path(model), url);
    return Promise.resolve({
      textsMax: protocol.textsMax,
      send: async (_caller, texts) => {
        const reply = await post(target, agent, JSON.stringify(protocol.body(texts, model)));
        return protocol.count(reply);
      },
      [Symbol.asyncDispose]: () => {
        agent.destroy();
        return Promise.resolve();
      },
    });
  };
}

async function post(url: URL, agent: Agent, body: string): Promise<unknown> {
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const received = await new Promise<string>((resolve, reject) => {
    const sent = request(url, { method: "POST", agent, headers }, (response) => {
      text(response).then((all) => {
        if (response.statusCode === 200) resolve(all);
        else
          reject(
            new Error(`${url.pathname} answered ${response.statusCode}: ${all.slice(0, 300)}`),
          );
      }, reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
  return JSON.parse(received);
}
