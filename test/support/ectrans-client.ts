/** A client of ECTrans: from Node with its sockets open for many tasks, and one in Python (ectrans-client.py) for one task. */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { Dealer, Subscriber } from "zeromq";
import type { MillraceServer } from "#src/index.js";

export interface EctransPorts {
  readonly port: number;
  readonly portOut: number;
}

/** Of a server that speaks nothing else over ZeroMQ. */
export function ectransPortsOf({ otherUrls }: Pick<MillraceServer, "otherUrls">): EctransPorts {
  const url = otherUrls.find((each) => each.startsWith("tcp://")) ?? "";
  const [port = 0, portOut = 0] = (url.match(/\d+(?= |$)/g) ?? []).map(Number);
  return { port, portOut };
}

/** What arrived for a task. */
export interface EctransAnswer {
  readonly reply: string;
  readonly results: readonly string[];
  /** By their places among the results. */
  readonly errors: ReadonlyMap<number, string>;
  /** Why the rest has no result. */
  readonly error: { readonly code: string; readonly message: string } | null;
  /** Names of the parts, as they came. */
  readonly parts: readonly string[];
}

interface PartMessage {
  readonly client_id: string;
  readonly result: readonly string[];
  readonly errors?: readonly { readonly index: number; readonly code: string }[];
  readonly error?: { readonly code: string; readonly message: string };
}

let lastTid = 1_630_303_041_986_551;

export class EctransClient implements Disposable {
  readonly #dealer = new Dealer({ linger: 0 });
  readonly #subscriber = new Subscriber({ linger: 0 });
  /** By task, whoever reads its parts. */
  readonly #readers = new Map<string, (part: PartMessage) => void>();

  constructor({ port, portOut }: EctransPorts) {
    this.#dealer.connect(`tcp://127.0.0.1:${port}`);
    this.#subscriber.connect(`tcp://127.0.0.1:${portOut}`);
    void this.#read();
  }

  /** `more`: beside what clients send. When it is cancelled it never ends. */
  async translate(
    texts: readonly unknown[],
    more: Readonly<Record<string, unknown>> = {},
    cancelled?: AbortSignal,
  ): Promise<EctransAnswer> {
    lastTid += 1;
    const tid = lastTid;
    const topic = `{"client_id":"${tid}`;
    const parts: PartMessage[] = [];
    // As clients do: until there is one result for each text.
    const whole = new Promise<void>((resolve) => {
      this.#readers.set(String(tid), (part) => {
        parts.push(part);
        if (parts.reduce((sum, { result }) => sum + result.length, 0) >= texts.length) resolve();
      });
    });
    this.#subscriber.subscribe(topic);
    cancelled?.addEventListener("abort", () => this.#subscriber.unsubscribe(topic));
    const reply = await this.exchange({ tid, texts, length: texts.length, ...more });
    await whole;
    this.#readers.delete(String(tid));
    this.#subscriber.unsubscribe(topic);
    return answerOf(reply, parts);
  }

  /** One at a time. */
  async exchange(message: object | string): Promise<string> {
    await this.#dealer.send(typeof message === "string" ? message : JSON.stringify(message));
    const [reply] = await this.#dealer.receive();
    return reply?.toString() ?? "";
  }

  async #read(): Promise<void> {
    for await (const [frame] of this.#subscriber) {
      const part = JSON.parse(frame?.toString() ?? "") as PartMessage;
      this.#readers.get(part.client_id.split("_", 1)[0] ?? "")?.(part);
    }
  }

  [Symbol.dispose](): void {
    this.#dealer.close();
    this.#subscriber.close();
  }
}

function answerOf(reply: string, parts: readonly PartMessage[]): EctransAnswer {
  const results: string[] = [];
  const errors = new Map<number, string>();
  for (const part of parts) {
    for (const { index, code } of part.errors ?? []) errors.set(results.length + index, code);
    results.push(...part.result);
  }
  const error = parts.find((part) => part.error !== undefined)?.error ?? null;
  return { reply, results, errors, error, parts: parts.map(({ client_id: id }) => id) };
}

export interface PythonTask {
  readonly socket: "REQ" | "DEALER";
  readonly style: "task" | "batches";
  readonly tid: number;
  readonly texts: readonly unknown[];
  readonly batch?: number;
  /** Seconds until it subscribes. */
  readonly late?: number;
}

export interface PythonAnswer {
  readonly replies: readonly string[];
  readonly results: readonly string[];
  /** How the messages began. */
  readonly heads: readonly string[];
}

const program = fileURLToPath(new URL("../../../test/support/ectrans-client.py", import.meta.url));

/** In Debian's Python, with python3-zmq. */
export async function translateInPython(
  { port, portOut }: EctransPorts,
  task: PythonTask,
): Promise<PythonAnswer> {
  const child = spawn("/usr/bin/python3", [program, String(port), String(portOut)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.end(JSON.stringify(task));
  return JSON.parse(await text(child.stdout)) as PythonAnswer;
}
