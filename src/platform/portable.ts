/** Every other system: what Node says there. What Linux's kernel tells beyond that cannot be had, and `lacks` says so. */
import { cacheHomeOf } from "./cache-home.js";
import type { Platform, PlatformFacts } from "./system.js";

export function portable(facts: PlatformFacts): Platform {
  const isWindows = facts.name === "win32";
  return {
    name: facts.name,
    lacks: isWindows ? [...lacksEverywhere, ...lacksOfWindows] : lacksEverywhere,
    sampleProcess: () => null,
    processAt: () => null,
    // A thread watches instead (runtime/parent-watch.ts).
    dieWithParent: () => false,
    offerToMemoryKiller: () => {},
    // Windows sends the last two where a console is broken off or closed; nobody can send it the first.
    stopSignals: isWindows ? ["SIGTERM", "SIGINT", "SIGBREAK", "SIGHUP"] : ["SIGTERM", "SIGINT"],
    reloadSignal: isWindows ? null : "SIGHUP",
    ownMemoryBytes: () => process.memoryUsage.rss(),
    memoryKillCounter: () => () => null,
    containerLimits: () => ({ cpus: null, memoryBytes: null }),
    processorFlags: () => null,
    openFilesMax: () => null,
    home: facts.home,
    cacheHome: cacheHomeOf(facts),
    terminalPath: null,
    openFolderPath: () => null,
    hasSocketFiles: !isWindows,
    hasFileModes: !isWindows,
    holdsOpenFiles: isWindows,
    hasWidePaths: isWindows,
  };
}

const lacksEverywhere = [
  "processor time of pipelines: one that hangs is ended after run-ms-max only, whatever it does",
  "why the system ended a process: a pipeline that died for want of memory counts as killed from outside",
  "memory that a pipeline shares with others: models count with all that became resident as they were loaded",
  "limits of containers and job objects: defaults are reckoned from the whole machine",
  "the processor's instructions: int8 weights that it multiplies slowly are not named",
  "how many files may be open: connections-max is not held against it",
  "a second way to a terminal: one that is stopped stops the log, and the server with it",
] as const;

const lacksOfWindows = [
  "signals between processes: models are looked for by their watch and `POST /v1/models/reload`, and only Ctrl-C, Ctrl-Break and closing the console end a server in good order",
  "who may read a file: the rights of key files and of kept weights are not looked at",
] as const;
