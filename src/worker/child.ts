/**
 * One worker process and its three ways to speak: frames on fd 3, lines of text on stdout and stderr. It is
 * spawned, never forked with anything loaded in it, and `onEnd` comes exactly once, after its last frame.
 *
 *   fd 0 nothing · fd 1, 2 lines for the log · fd 3 frames · fd 4 lifeline, see runtime/parent-watch.ts
 */
import { type ChildProcess, spawn } from "node:child_process";
import { Socket } from "node:net";
import { encodeFrame, FrameDecoder } from "../frames/codec.js";
import type { ChildFrame, ParentFrame } from "../frames/messages.js";
import { ProtocolError } from "../frames/protocol-error.js";
import { parseChildFrame } from "../frames/shapes.js";
import { type Cause, causeOfExit } from "./settle.js";

/** The part of a logger that workers use; pino's fits. */
export interface WorkerLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface ChildOptions {
  /** The script that the process runs: the compiled runtime/entry.js. */
  readonly entry: string;
  readonly pipelineId: string;
  readonly log: WorkerLog;
  /** How long a killed process may take to be gone before it is given up. */
  readonly killTimeoutMs: number;
}

export interface ChildEvents {
  onFrame(frame: ChildFrame): void;
  /** The stream cannot be read further; the process still runs. */
  onBroken(error: ProtocolError): void;
  onEnd(cause: Cause): void;
}

/** Between the end of the process and the end of its pipes, or the other way round. */
const closeGraceMs = 1_000;
const logLineCharactersMax = 8_192;

export class Child {
  readonly #options: ChildOptions;
  readonly #events: ChildEvents;
  readonly #process: ChildProcess | null;
  readonly #frames: Socket | null;
  #timer: NodeJS.Timeout | undefined;
  #muted = false;
  #exited: Cause | null = null;
  #ended = false;

  constructor(options: ChildOptions, events: ChildEvents) {
    this.#options = options;
    this.#events = events;
    this.#process = this.#spawn();
    const [, , , frames, lifeline] = this.#process?.stdio ?? [];
    this.#frames = frames instanceof Socket ? frames : null;
    if (this.#process === null) return;
    this.#process.on("error", (error) => this.#onExit(spawnFailed(error)));
    this.#process.on("exit", (code, signal) => this.#onExit(causeOfExit(code, signal)));
    this.#process.on("close", () => this.#end());
    this.#logLines("stdout");
    this.#logLines("stderr");
    this.#listen();
    // Whatever a child writes there is thrown away: unread, it would keep the pipe from closing.
    if (lifeline instanceof Socket) lifeline.on("error", () => {}).resume();
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  /** Frames for a process that is gone already vanish; its end is reported anyway. */
  send(frame: ParentFrame): void {
    if (this.#frames?.writable === true) this.#frames.write(encodeFrame(frame));
  }

  /** Nothing that it says counts any more; its end is still reported. A second call does nothing. */
  kill(): void {
    if (this.#muted) return;
    this.#muted = true;
    this.#process?.kill("SIGKILL");
    const unkillable: Cause = { kind: "crash", reason: "does not end, even when killed" };
    if (this.#exited === null) {
      this.#after(this.#options.killTimeoutMs, () => {
        this.#exited = unkillable;
        this.#end();
      });
    }
  }

  #spawn(): ChildProcess | null {
    try {
      return spawn(process.execPath, [this.#options.entry], {
        stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
        env: childEnvironment(process.env),
      });
    } catch (error) {
      this.#exited = spawnFailed(error);
      setImmediate(() => this.#end());
      return null;
    }
  }

  #listen(): void {
    const decoder = new FrameDecoder(parseChildFrame);
    this.#frames?.on("error", () => {});
    this.#frames?.on("data", (chunk: Buffer) => {
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
    this.#frames?.on("close", () => {
      if (this.#exited !== null || this.#muted) return;
      this.#after(closeGraceMs, () =>
        this.#events.onBroken(new ProtocolError("closed its channel and lives on")),
      );
    });
  }

  #logLines(stream: "stdout" | "stderr"): void {
    const { log, pipelineId } = this.#options;
    const input = this.#process?.[stream];
    let rest = "";
    input?.setEncoding("utf8");
    input?.on("error", () => {});
    input?.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      // A child that never ends its line takes no memory: what is over the bound is cut off.
      rest = (lines.pop() ?? "").slice(0, logLineCharactersMax);
      for (const line of lines) {
        if (line !== "") log.info({ pipelineId, stream }, line.slice(0, logLineCharactersMax));
      }
    });
    input?.on("end", () => {
      if (rest !== "") log.info({ pipelineId, stream }, rest);
    });
  }

  /** A grandchild may hold the pipes open, so the end is not waited for without a bound. */
  #onExit(cause: Cause): void {
    if (this.#exited !== null) return;
    this.#exited = cause;
    this.#after(closeGraceMs, () => this.#end());
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#muted = true;
    clearTimeout(this.#timer);
    for (const stream of this.#process?.stdio ?? []) stream?.destroy();
    this.#events.onEnd(this.#exited ?? { kind: "crash", reason: "ended without an exit status" });
  }

  #after(delayMs: number, action: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(action, delayMs);
  }
}

function spawnFailed(error: unknown): Cause {
  const reason = error instanceof Error ? error.message : String(error);
  return { kind: "crash", reason: `could not be spawned: ${reason}` };
}

/**
 * The parent's environment without what is meant for this very process: a debugger's port in NODE_OPTIONS would be
 * fought over, and an IPC channel of our own parent is not the child's.
 */
function childEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = new Set(["NODE_OPTIONS", "NODE_CHANNEL_FD", "NODE_CHANNEL_SERIALIZATION_MODE"]);
  return Object.fromEntries(Object.entries(env).filter(([name]) => !own.has(name)));
}
