/** Models whose version is in their answer: of the same number, one doubles it and the other squares it. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { graphBytes } from "./onnx-graph.js";
import { postJson } from "./real-server.js";

const graphs = { double: graphOf("Add"), square: graphOf("Mul") } as const;

export type Answer = keyof typeof graphs;

function graphOf(opType: string): Uint8Array {
  return graphBytes({
    nodes: [{ opType, input: ["x", "x"], output: ["y"] }],
    inputs: [{ name: "x", type: "FP32", shape: ["n"] }],
    outputs: [{ name: "y", type: "FP32", shape: ["n"] }],
  });
}

/** A folder with the graph and nothing else. */
export async function writeVersion(dir: string, answer: Answer): Promise<string> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, "model.onnx"), graphs[answer]);
  return dir;
}

/** What the model made of five. */
export async function ask(url: string, model: string): Promise<Answer> {
  const inputs = [{ name: "x", shape: [1], datatype: "FP32", data: [5] }];
  const response = await postJson(`${url}/v2/models/${model}/infer`, { inputs });
  const text = await response.text();
  assert.equal(response.status, 200, text);
  const reply = JSON.parse(text) as {
    readonly outputs: readonly { readonly data: readonly number[] }[];
  };
  const answers: ReadonlyMap<number | undefined, Answer> = new Map([
    [10, "double"],
    [25, "square"],
  ]);
  const answer = answers.get(reply.outputs[0]?.data[0]);
  assert.ok(answer !== undefined, text);
  return answer;
}

/** So many callers at once, one question after the other until it is ended; what each answer was, and when it was asked for. */
export class Load {
  readonly answers: {
    readonly askedAtMs: number;
    readonly answeredAtMs: number;
    readonly answer: Answer;
  }[] = [];
  readonly #done: Promise<unknown>;
  #waiting: { readonly atLeast: number; readonly resolve: () => void }[] = [];
  #isOver = false;

  constructor(url: string, model: string, callers: number) {
    this.#done = Promise.all(Array.from({ length: callers }, () => this.#call(url, model)));
    // Whoever ends it hears what failed.
    this.#done.catch(() => {});
  }

  async answered(count: number): Promise<void> {
    const atLeast = this.answers.length + count;
    const there = new Promise<void>((resolve) => this.#waiting.push({ atLeast, resolve }));
    await Promise.race([this.#done, there]);
  }

  /** Rejects where a question failed. */
  async end(): Promise<void> {
    this.#isOver = true;
    await this.#done;
  }

  async #call(url: string, model: string): Promise<void> {
    while (!this.#isOver) {
      const askedAtMs = performance.now();
      const answer = await ask(url, model);
      this.answers.push({ askedAtMs, answeredAtMs: performance.now(), answer });
      for (const { atLeast, resolve } of this.#waiting) {
        if (this.answers.length >= atLeast) resolve();
      }
      this.#waiting = this.#waiting.filter(({ atLeast }) => atLeast > this.answers.length);
    }
  }
}
