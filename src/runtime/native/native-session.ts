/**
 * READ FIRST of this folder. A graph that runs on memory which stays where it is: what goes in is read in place, and what
 * comes out is written where the caller wants it, with no copy and no new array. See ort-api.ts for why.
 *
 * A run blocks this thread and cannot be cancelled; before it, whatever waits for this thread has its turn.
 */
import { collectAfterReading } from "../collect-garbage.js";
import type { SessionOptions } from "../session-settings.js";
import { createSession, createSessionOf } from "./create-session.js";
import { takeText } from "./native-environment.js";
import { elementTypeOf, type NativeType } from "./native-tensor.js";
import { addressOf, check, type Handle, type Out, ortApi, outOf, textBytes } from "./ort-api.js";

/** Addresses of names and of values, place by place, as the runtime reads them; a value of 0 is made by the run. */
export class Pointers {
  readonly names: BigUint64Array;
  readonly values: BigUint64Array;
  readonly length: number;

  constructor(names: readonly Handle[]) {
    this.names = BigUint64Array.from(names);
    this.values = new BigUint64Array(names.length);
    this.length = names.length;
  }
}

/** Told of each run of a session. */
export interface RunWatcher {
  /** Options of the run that begins; null: as usual. */
  begin(): Handle | null;
  /** It has ended, well or not. */
  end(): void;
}

export class NativeSession {
  /** Names of the inputs, in the graph's order. */
  readonly inputs: readonly string[];
  /** Types of the outputs by name; undefined where one is none of `NativeType`. */
  readonly outputs: ReadonlyMap<string, NativeType | undefined>;
  readonly #session: Handle;
  readonly #watcher: RunWatcher | null;
  readonly #nameAddresses: ReadonlyMap<string, Handle>;
  /** Keeps the names where their addresses are. */
  readonly #nameBytes: readonly Uint8Array[];
  #isReleased = false;

  /** Throws what ONNX Runtime says. */
  static async open(
    path: string,
    asked: SessionOptions,
    watcher: RunWatcher | null = null,
  ): Promise<NativeSession> {
    const { session, readBytes } = await createSession(path, asked);
    await collectAfterReading(readBytes);
    return NativeSession.#around(session, watcher);
  }

  /** Of a graph in memory that refers to no files. Throws what ONNX Runtime says. */
  static of(graph: Uint8Array, asked: SessionOptions): NativeSession {
    return NativeSession.#around(createSessionOf(graph, asked), null);
  }

  static #around(session: Handle, watcher: RunWatcher | null): NativeSession {
    try {
      return new NativeSession(session, watcher);
    } catch (error) {
      ortApi().ReleaseSession(session);
      throw error;
    }
  }

  private constructor(session: Handle, watcher: RunWatcher | null) {
    this.#session = session;
    this.#watcher = watcher;
    this.inputs = namesOf(session, "Input");
    const outputNames = namesOf(session, "Output");
    this.outputs = new Map(outputNames.map((name, index) => [name, outputTypeOf(session, index)]));
    const names = [...new Set([...this.inputs, ...outputNames])];
    this.#nameBytes = names.map(textBytes);
    this.#nameAddresses = new Map(
      names.map((name, index) => [name, addressOf(this.#nameBytes[index] ?? new Uint8Array())]),
    );
  }

  /** Of the output of this name; undefined where there is none. */
  typeOf(name: string): string | undefined {
    return this.outputs.has(name) ? (this.outputs.get(name) ?? "another type") : undefined;
  }

  /** For these inputs or outputs, in this order. Throws where the graph has one of them not. */
  pointers(names: readonly string[]): Pointers {
    const addresses = names.map((name) => {
      const address = this.#nameAddresses.get(name);
      if (address === undefined) throw new Error(`the graph has no ${name}`);
      return address;
    });
    return new Pointers(addresses);
  }

  /**
   * Writes the outputs; where one has no value yet, the run makes it, and whoever called takes it with `takeMade`. Throws what
   * ONNX Runtime throws, also where a tensor has another shape than the graph makes. A profile finds it by this name.
   */
  async runNative(inputs: Pointers, outputs: Pointers): Promise<void> {
    await yieldToEventLoop();
    const options = this.#watcher?.begin() ?? null;
    try {
      check(
        ortApi().Run(
          this.#live(),
          options,
          inputs.names,
          inputs.values,
          inputs.length,
          outputs.names,
          outputs.length,
          outputs.values,
        ),
      );
    } finally {
      this.#watcher?.end();
    }
  }

  /** Path of the file, as Chrome's tracing reads it, of a session that was opened with `profilePrefix`. */
  endProfiling(): string {
    const session = this.#live();
    return takeText((allocator, out) => ortApi().SessionEndProfiling(session, allocator, out));
  }

  /** A second call does nothing. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    ortApi().ReleaseSession(this.#session);
  }

  /** A handle that was given back points into memory of somebody else. */
  #live(): Handle {
    if (this.#isReleased) throw new Error("the session was released");
    return this.#session;
  }
}

/** Frames are read between runs, and signals heard. */
function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function namesOf(session: Handle, kind: "Input" | "Output"): string[] {
  const api = ortApi();
  const count = outOf((out: Out<number>) => api[`SessionGet${kind}Count`](session, out));
  return Array.from({ length: Number(count) }, (_, index) =>
    takeText((allocator, out) => api[`SessionGet${kind}Name`](session, index, allocator, out)),
  );
}

function outputTypeOf(session: Handle, index: number): NativeType | undefined {
  const api = ortApi();
  const info = outOf((out: Out<Handle>) => api.SessionGetOutputTypeInfo(session, index, out));
  try {
    const tensor: Out<Handle> = [null];
    check(api.CastTypeInfoToTensorInfo(info, tensor));
    return tensor[0] === null ? undefined : elementTypeOf(tensor[0]);
  } finally {
    api.ReleaseTypeInfo(info);
  }
}
