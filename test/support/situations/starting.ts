/** A server that is seen before it is ready: a process, on a port that was free. */
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { ServeProcess } from "../serve-process.js";
import { until } from "../until.js";

const serveFake: string = fileURLToPath(new URL("../serve-fake.js", import.meta.url));

export class AskedEarly implements AsyncDisposable {
  readonly url: string;
  readonly #process: ServeProcess;

  static async start(models: string): Promise<AskedEarly> {
    const port = await freePort();
    const flags = ["--models", models, "--pipelines", "1", "--port", String(port)];
    const early = new AskedEarly(`http://127.0.0.1:${port}`, new ServeProcess(serveFake, ...flags));
    await until(() => fetch(`${early.url}/live`).catch(() => null));
    return early;
  }

  private constructor(url: string, served: ServeProcess) {
    this.url = url;
    this.#process = served;
  }

  /** As an operator stops it. */
  terminate(): void {
    process.kill(this.#process.pid, "SIGTERM");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
