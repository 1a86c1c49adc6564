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
import { addressOf, check, type Handle, ortApi, textBytes } from "./ort-api.js";
import { type SessionValue, sessionValues } from "./session-values.js";

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
  readonly inputs: readonly SessionValue[];
  readonly outputs: readonly SessionValue[];
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
    this.inputs = sessionValues(session, "Input");
    this.outputs = sessionValues(session, "Output");
    const names = [...new Set([...this.inputs, ...this.outputs].map(({ name }) => name))];
    this.#nameBytes = names.map(textBytes);
    this.#nameAddresses = new Map(
      names.map((name, index) => [name, addressOf(this.#nameBytes[index] ?? new Uint8Array())]),
    );
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
