/** What a system tells and does: the one list of what differs, which each form of platform.ts fills. */
import type { ReadText } from "./cgroup.js";
import type { ContainerLimits } from "./container-limits.js";

export interface Platform {
  /** As Node calls it, and as the folders of native libraries are called. */
  readonly name: NodeJS.Platform;
  /** What cannot be had here, each with what follows from it, for people; empty on Linux. docs/platforms.md has them. */
  readonly lacks: readonly string[];

  /** Null: there is no such process any more, or the system does not tell. */
  readonly sampleProcess: (pid: number) => ProcessSample | null;
  /** Null: as above. */
  readonly processAt: (pid: number) => FoundProcess | null;
  /** Asks that this process be killed when its parent ends. False where the system knows no such thing. */
  readonly dieWithParent: () => boolean;
  /** Where memory runs out, let it be this process and not ours. Only a preference. */
  readonly offerToMemoryKiller: (pid: number) => void;
  /** What ends a server in good order. */
  readonly stopSignals: readonly NodeJS.Signals[];
  /** What has a server look at its models again; null where there is no signal for it. */
  readonly reloadSignal: NodeJS.Signals | null;

  /** What this process shares with nobody and cannot read again from a file; where that is not told apart, all that is resident. */
  readonly ownMemoryBytes: () => number;
  /** Looked for once, and read at each call. */
  readonly memoryKillCounter: () => MemoryKillCounter;
  readonly containerLimits: () => ContainerLimits;
  /** As the kernel names them, with blanks between; null where it does not. */
  readonly processorFlags: () => string | null;
  /** Files and connections that this process may have open; null: not told. */
  readonly openFilesMax: () => number | null;

  /** Null: this user has none. */
  readonly home: string | null;
  /** Where this user's programs keep what they can make again; absolute. */
  readonly cacheHome: string;
  /** A terminal is opened by this name once more, so that writing to it does not wait; null where it cannot be. */
  readonly terminalPath: string | null;
  /** Another name of an open folder, however long its own is; null where there is none. */
  readonly openFolderPath: (fd: number) => string | null;
  /** A socket is a file in a folder. Else it has a name of the whole machine's. */
  readonly hasSocketFiles: boolean;
  /** The bits of a file say who may read and write it. */
  readonly hasFileModes: boolean;
  /** A file that somebody has open cannot be moved, nor another one put in its place. */
  readonly holdsOpenFiles: boolean;
  /** Paths are given to native libraries in 16-bit characters. */
  readonly hasWidePaths: boolean;
}

export interface ProcessSample {
  /** User and system time of all its threads. */
  readonly cpuMs: number;
  /** Stopped by a signal or a tracer. */
  readonly stopped: boolean;
  /** Wants the processor: on a machine that is overloaded it may wait for it, and does not stand still of itself. */
  readonly runnable: boolean;
}

export interface FoundProcess {
  /** It has ended, and its parent has not asked how. */
  readonly isDead: boolean;
  /** When it began, as the kernel counts: what tells a process from a later one of the same number. */
  readonly begun: string;
}

/** How often the kernel killed a process because memory ran out; null where it does not tell. */
export type MemoryKillCounter = () => number | null;

export interface PlatformFacts {
  readonly name: NodeJS.Platform;
  readonly read: ReadText;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Null: this user has none. */
  readonly home: string | null;
  readonly tempDir: string;
  readonly userId: number | null;
}
