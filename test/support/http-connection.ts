/** One kept connection to a server over HTTP/1.1, for drivers of protocols without a client of their own. */
import { Agent, type IncomingHttpHeaders, request } from "node:http";

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

interface HttpQuestion {
  /** Default: POST. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Closes the connection. */
  readonly signal?: AbortSignal | undefined;
}

export class HttpConnection implements Disposable {
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(url: string) {
    this.#url = url;
  }

  async send(path: string, question: HttpQuestion): Promise<HttpAnswer> {
    const { method = "POST", headers = {}, body, signal } = question;
    const options = { method, headers, agent: this.#agent, ...(signal && { signal }) };
    return await new Promise((resolve, reject) => {
      const sent = request(`${this.#url}${path}`, options, (reply) => {
        const chunks: Buffer[] = [];
        reply.on("data", (chunk: Buffer) => chunks.push(chunk));
        reply.on("error", reject);
        reply.on("end", () => {
          const { statusCode: status = 0, headers: own } = reply;
          resolve({ status, headers: own, body: Buffer.concat(chunks) });
        });
      });
      sent.on("error", reject);
      sent.end(body);
    });
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
