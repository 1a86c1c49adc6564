/**
 * One worker process and its three ways to speak: frames on fd 3, lines of text on stdout and stderr. It is
 * spawned, never forked with anything loaded in it, and `onEnd` comes exactly once, after its last frame.
 *
 *   fd 0 nothing · fd 1, 2 lines for the log · fd 3 frames · fd 4 lifeline, see runtime/parent-watch.ts
 *
 * `ChildPort` is all that a pipeline knows of it: the simulator has a port without a process behind it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { Socket } from "node:net";
import { FrameDecoder } from "../frames/codec.js";
import type { TooLarge } from "../frames/encode.js";
import type { ChildFrame, ParentFrame } from "../frames/messages.js";
import { ProtocolError } from "../frames/protocol-error.js";
import { parseChildFrame } from "../frames/shapes.js";
import { platform } from "../platform/platform.js";
import type { Clock } from "../work/clock.js";
import { messageOf } from "../work/thrown.js";
import { LogLines, type WorkerLog } from "./log-lines.js";
import { Outbox } from "./outbox.js";
import type { ProcessEnd } from "./settle.js";

export interface ChildOptions {
  /** The script that the process runs: the compiled runtime/entry.js. */
  readonly entry: string;
  /** What is said to the script on its command line. */
  readonly entryArguments: readonly string[];
  readonly pipelineId: string;
  readonly log: WorkerLog;
  readonly clock: Clock;
  /** How long a killed process may take to be gone before it is given up. */
  readonly killTimeoutMs: number;
}

/** None of these comes from inside a call of `SpawnChild`, `send` or `kill`. */
export interface ChildEvents {
  onFrame(frame: ChildFrame): void;
  /** The stream cannot be read further; the process still runs. */
  onBroken(error: ProtocolError): void;
  /** An item of a batch that fits into no frame: it was not sent, its neighbours were. */
  onTooLarge(item: TooLarge): void;
  onEnd(end: ProcessEnd): void;
}

export interface ChildPort {
  /** Null where there is no process. */
  readonly pid: number | null;
  /** Frames for a process that is gone already vanish; its end is reported anyway. */
  send(frame: ParentFrame): void;
  /** Nothing that it says counts any more; its end is still reported. A second call does nothing. */
  kill(): void;
}

export type SpawnChild = (options: ChildOptions, events: ChildEvents) => ChildPort;

export const spawnChild: SpawnChild = (options, events) => new Child(options, events);

/**
 * V8's collector has threads of its own, which take the processor from the pipeline beside. The young generation is nearly all garbage
 * after each step: with 4 MiB for it instead of 16 it takes hardly longer to collect, and less memory.
 */
const nodeFlags = ["--single-threaded-gc", "--max-semi-space-size=4"];

/**
 * Of glibc, and its own numbers at the start of a process. Left alone it raises them to what was given back before, up to 32 and
 * 64 MiB: a cache that grew leaves holes in the heap then, and nothing goes back to the system. Other libraries do not read them.
 */
const allocatorEnvironment = {
  MALLOC_MMAP_THRESHOLD_: "131072",
  MALLOC_TRIM_THRESHOLD_: "131072",
};

/** Between the end of the process and the end of its pipes, or the other way round. */
const closeGraceMs = 1_000;

class Child implements ChildPort {
  readonly #options: ChildOptions;
  readonly #events: ChildEvents;
  readonly #process: ChildProcess | null;
  #outbox: Outbox | null = null;
  #cancelTimer: () => void = () => {};
  #muted = false;
  #end: ProcessEnd | null = null;
  #reported = false;

  constructor(options: ChildOptions, events: ChildEvents) {
    this.#options = options;
    this.#events = events;
    this.#process = this.#spawn();
    if (this.#process === null) return;
    this.#process.on("error", (error) => this.#onExit(spawnFailed(error)));
    this.#process.on("exit", (code, signal) => this.#onExit(endOf(code, signal)));
    this.#process.on("close", () => this.#report());
    this.#logLines("stdout");
    this.#logLines("stderr");
    const [, , , frames, lifeline] = this.#process.stdio;
    if (frames instanceof Socket) this.#listen(frames);
    // Whatever a child writes there is thrown away: unread, it would keep the pipe from closing.
    if (lifeline instanceof Socket) lifeline.on("error", () => {}).resume();
    if (this.#process.pid !== undefined) platform.offerToMemoryKiller(this.#process.pid);
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  send(frame: ParentFrame): void {
    this.#outbox?.send(frame);
  }

  kill(): void {
    if (this.#muted) return;
    this.#muted = true;
    this.#outbox?.close();
    this.#process?.kill("SIGKILL");
    if (this.#end !== null) return;
    this.#after(this.#options.killTimeoutMs, () => {
      this.#end = { kind: "lost", reason: "does not end, even when killed" };
      this.#report();
    });
  }

  #spawn(): ChildProcess | null {
    try {
      const { entry, entryArguments } = this.#options;
      return spawn(process.execPath, [...nodeFlags, entry, ...entryArguments], {
        // Windows reads and writes the last two at the same time only where they are overlapped; elsewhere that is a pipe.
        stdio: ["ignore", "pipe", "pipe", "overlapped", "overlapped"],
        env: childEnvironment(process.env),
      });
    } catch (error) {
      this.#end = spawnFailed(error);
      this.#after(0, () => this.#report());
      return null;
    }
  }

  #listen(frames: Socket): void {
    this.#outbox = new Outbox(frames, (item) => {
      this.#options.clock.after(0, () => {
        if (!this.#muted) this.#events.onTooLarge(item);
      });
    });
    const decoder = new FrameDecoder(parseChildFrame);
    frames.on("error", () => {});
    frames.on("data", (chunk: Buffer) => {
      if (this.#muted) return;
      try {
        for (const frame of decoder.read(chunk)) {
          if (this.#muted) return;
          this.#events.onFrame(frame);
        }
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        this.#events.onBroken(error);
      }
    });
    frames.on("close", () => {
      if (this.#end !== null || this.#muted) return;
      this.#after(closeGraceMs, () =>
        this.#events.onBroken(new ProtocolError("closed its channel and lives on")),
      );
    });
  }

  #logLines(stream: "stdout" | "stderr"): void {
    const { log, pipelineId, clock } = this.#options;
    const input = this.#process?.[stream];
    if (input) new LogLines({ log, clock, pipelineId, stream }, input);
  }

  /** A grandchild may hold the pipes open, so the end is not waited for without a bound. */
  #onExit(end: ProcessEnd): void {
    if (this.#end !== null) return;
    this.#end = end;
    this.#after(closeGraceMs, () => this.#report());
  }

  #report(): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#muted = true;
    this.#cancelTimer();
    this.#outbox?.close();
    for (const stream of this.#process?.stdio ?? []) stream?.destroy();
    this.#events.onEnd(this.#end ?? { kind: "lost", reason: "ended without an exit status" });
  }

  #after(delayMs: number, action: () => void): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#options.clock.after(delayMs, action);
  }
}

function endOf(code: number | null, signal: string | null): ProcessEnd {
  return signal === null ? { kind: "exited", code: code ?? 0 } : { kind: "signalled", signal };
}

function spawnFailed(error: unknown): ProcessEnd {
  const reason = messageOf(error);
  return { kind: "lost", reason: `could not be spawned: ${reason}` };
}

/**
 * The parent's environment without what is meant for this very process: a debugger's port in NODE_OPTIONS would be
 * fought over, and an IPC channel of our own parent is not the child's. Who has set the allocator knows why.
 */
function childEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = new Set(["NODE_OPTIONS", "NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE"]);
  const others = Object.entries(env).filter(([name]) => !own.has(name));
  return { ...allocatorEnvironment, ...Object.fromEntries(others) };
}
