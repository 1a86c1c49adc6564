/** Clients of bert-as-service for tests: one from Python (bert-client.py), and the same frames from Node. */
import { type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createInterface, type Interface } from "node:readline";
import { Push, Subscriber } from "zeromq";

/** Debian's own, where python3-zmq and python3-numpy are installed. */
const python = "/usr/bin/python3";

/** Why the test must be skipped; false where it need not. */
export function withoutPython(): string | false {
  const { status } = spawnSync(python, ["-c", "import zmq, numpy"]);
  return status === 0 ? false : `${python} has no zmq or no numpy (python3-zmq, python3-numpy)`;
}

export interface BertPorts {
  readonly port: number;
  readonly portOut: number;
}

/** From the line of the log that says `ready`. */
export function bertPortsOf(lines: readonly string[]): BertPorts {
  const ready = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  const found = ready.find(({ msg }) => msg === "ready")?.["others"] as readonly string[];
  const [port = 0, portOut = 0] = (found[0] ?? "").match(/\d+(?= |$)/g)?.map(Number) ?? [];
  return { port, portOut };
}

export interface PythonReply {
  readonly error?: string;
  readonly message?: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
  readonly shape?: readonly number[];
  readonly dtype?: string;
  readonly data?: string;
  readonly tokens?: unknown;
  readonly id?: number;
  readonly replies?: Readonly<Record<string, PythonReply>>;
  readonly answered?: number;
  readonly hashes?: readonly string[];
  readonly failed?: readonly string[];
}

/** One process with any number of clients; orders are obeyed one after the other. */
export class PythonClients implements AsyncDisposable {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: Interface;
  readonly #waiting: ((line: string) => void)[] = [];
  #errors = "";

  constructor() {
    this.#child = spawn(python, ["test/support/bert-client.py"]);
    this.#child.stderr.on("data", (text: Buffer) => {
      this.#errors += text.toString();
    });
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#lines.on("line", (line) => this.#waiting.shift()?.(line));
    this.#child.once("close", () => {
      for (const tell of this.#waiting) {
        tell(JSON.stringify({ error: "closed", message: this.#errors }));
      }
    });
  }

  async obey(op: string, order: Readonly<Record<string, unknown>>): Promise<PythonReply> {
    const line = new Promise<string>((resolve) => this.#waiting.push(resolve));
    this.#child.stdin.write(`${JSON.stringify({ op, ...order })}\n`);
    return JSON.parse(await line) as PythonReply;
  }

  /** At once, as a client that crashes. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#child.once("close", () => resolve()));
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.kill();
    await closed;
  }
}

/** The same frames, byte by byte in the test's hand. */
export class BertSockets implements Disposable {
  readonly identity: string;
  readonly #push = new Push({ linger: 0 });
  readonly #subscriber = new Subscriber({ linger: 0 });
  #lastId = 0;

  constructor({ port, portOut }: BertPorts, identity: string = randomUUID()) {
    this.identity = identity;
    this.#push.connect(`tcp://127.0.0.1:${port}`);
    this.#subscriber.subscribe(identity);
    this.#subscriber.connect(`tcp://127.0.0.1:${portOut}`);
  }

  async sendFrames(frames: readonly (string | Buffer)[]): Promise<void> {
    await this.#push.send([...frames]);
  }

  async send(message: string | readonly unknown[], length = "1"): Promise<number> {
    this.#lastId += 1;
    const text = typeof message === "string" ? message : JSON.stringify(message);
    await this.sendFrames([this.identity, text, String(this.#lastId), length]);
    return this.#lastId;
  }

  async receive(): Promise<readonly Buffer[]> {
    return await this.#subscriber.receive();
  }

  /** What an embedding's or an error's frames say. */
  async reply(): Promise<BertReply> {
    const frames = await this.receive();
    const info = JSON.parse(frames[1]?.toString() ?? "") as Omit<BertReply, "data" | "id">;
    const bytes = Buffer.from(frames[2] ?? "");
    const data = new Float32Array(bytes.length / 4);
    Buffer.from(data.buffer).set(bytes);
    return { ...info, data, id: Number(frames.at(-1)) };
  }

  async encode(texts: readonly unknown[]): Promise<BertReply> {
    await this.send(texts, String(texts.length));
    return await this.reply();
  }

  async config(command = "SHOW_CONFIG"): Promise<Readonly<Record<string, unknown>>> {
    await this.send(command, "0");
    const frames = await this.receive();
    return JSON.parse(frames[1]?.toString() ?? "") as Readonly<Record<string, unknown>>;
  }

  [Symbol.dispose](): void {
    this.#push.close();
    this.#subscriber.close();
  }
}

export interface BertReply {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly tokens: unknown;
  readonly data: Float32Array;
  readonly id: number;
}
