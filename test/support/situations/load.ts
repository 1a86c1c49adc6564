/** What callers do while somebody looks on: until it is disposed of. What is refused is what they came for. */
import { setMaxListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";

export interface Asked {
  readonly body: unknown;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const refusedPauseMs = 20;

async function ask(
  url: string,
  { body, path = "/v1/translate", headers = {} }: Asked,
  signal: AbortSignal,
) {
  const response = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
    signal,
  });
  await response.arrayBuffer();
  return response.ok;
}

/** So many callers, each with its next request as soon as the one before is answered. */
export class ClosedLoop implements AsyncDisposable {
  readonly #ending = new AbortController();
  readonly #done: Promise<unknown>;
  replies = 0;

  constructor(url: string, callers: number, next: (caller: number) => Asked) {
    setMaxListeners(0, this.#ending.signal);
    const all = Array.from({ length: callers }, (_, caller) => this.#call(url, () => next(caller)));
    this.#done = Promise.all(all);
  }

  async #call(url: string, next: () => Asked): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const isDone = await ask(url, next(), signal).catch(() => false);
      this.replies += 1;
      if (!isDone && !signal.aborted) await delay(refusedPauseMs);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#done;
  }
}

/** A request each so many milliseconds, whether those before are answered or not. */
export class OpenLoop implements AsyncDisposable {
  readonly #ending = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #open = new Set<Promise<unknown>>();

  constructor(url: string, everyMs: number, next: () => Asked) {
    setMaxListeners(0, this.#ending.signal);
    this.#timer = setInterval(() => {
      const asked = ask(url, next(), this.#ending.signal).catch(() => false);
      this.#open.add(asked);
      void asked.finally(() => this.#open.delete(asked));
    }, everyMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#ending.abort();
    await Promise.all(this.#open);
  }
}

const words = "the old mill stands by the river and grinds what is brought to it".split(" ");

/** A sentence of so many words; those of one number are the same. */
export function sentence(length: number, seed: number = 0): string {
  const text = Array.from({ length }, (_, at) => words[(at * 7 + seed) % words.length]);
  return `${text.join(" ")}.`;
}

export function sentences(count: number, length: number): string[] {
  return Array.from({ length: count }, (_, at) => sentence(length, at));
}
