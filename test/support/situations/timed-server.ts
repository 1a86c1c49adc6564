/** Servers in this process whose workers take the recorded time of real ones, or are fake, and looks at them as the command has them. */
import { fileURLToPath } from "node:url";
import { openBackend } from "#src/backend/local-backend.js";
import { lookAt } from "#src/cli/doctor/look.js";
import type { DoctorWindow } from "#src/doctor/window.js";
import { createLog } from "#src/log.js";
import { findMachine, type Machine } from "#src/options/machine.js";
import type { Options } from "#src/options/options.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { type MillraceServer, startServer } from "#src/server.js";
import { makeTimedModels } from "../../../bench/timed/timed-models.js";
import { fakeEntry } from "../pool.js";
import { TempDir } from "../temp-dir.js";

const timedEntry: string = fileURLToPath(
  new URL("../../../bench/timed/worker.js", import.meta.url),
);

export interface TimedServerOptions extends Partial<Options> {
  readonly machine?: Partial<Machine>;
  readonly workers?: "timed" | "fake" | "real";
}

const entries = { timed: timedEntry, fake: fakeEntry, real: undefined } as const;

/** One timed pipeline on the bundled translator unless the options say otherwise. */
export class TimedServer implements AsyncDisposable {
  readonly server: MillraceServer;
  readonly #dir: TempDir;

  static async start(options: TimedServerOptions = {}): Promise<TimedServer> {
    const { machine, workers = "timed", ...code } = options;
    const dir = await TempDir.make();
    const log = createLog({ log: "json", logLevel: "silent", destination: process.stdout });
    const pipelines = code.realtimePipelines === undefined ? { pipelines: 1 } : {};
    const defaults = { models: await makeTimedModels(dir.path), port: 0, trial: "off", threads: 1 };
    const configuration = resolveConfiguration({
      code: { ...defaults, ...pipelines, logLevel: "silent", ...code },
      machine: { ...findMachine(), ...machine },
    });
    const workerEntry = entries[workers];
    const server = await startServer(configuration, {
      log,
      openBackend: (parts) =>
        openBackend(workerEntry === undefined ? parts : { ...parts, workerEntry }),
    });
    return new TimedServer(server, dir);
  }

  private constructor(server: MillraceServer, dir: TempDir) {
    this.server = server;
    this.#dir = dir;
  }

  get url(): string {
    return this.server.url;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close();
    await this.#dir[Symbol.asyncDispose]();
  }
}

const windowMs = 3_000;

/** As `millrace doctor --for 3s` looks. */
export function seen(
  url: string,
  { forMs = windowMs, key }: { readonly forMs?: number; readonly key?: string } = {},
): Promise<DoctorWindow> {
  const { signal } = new AbortController();
  return lookAt({ url, forMs, progress: false, signal, ...(key !== undefined && { key }) });
}
