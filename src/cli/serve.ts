/** `millrace serve`: options → server; the first signal drains, the second ends at once. */
import type { Command } from "commander";
import { MillraceError } from "millrace-client/wire";
import { createLog, type Log } from "../log.js";
import { findMachine } from "../options/machine.js";
import type { Configuration } from "../options/resolve.js";
import { type MillraceServer, type ServerDeps, startServer } from "../server.js";
import { exitCodes } from "./exit-codes.js";
import { addOptionFlags, configurationFrom } from "./option-flags.js";

export function registerServe(program: Command, openBackend: ServerDeps["openBackend"]): void {
  const command = program.command("serve").description("Serve the models of a folder.");
  addOptionFlags(command).action(async (flags: Record<string, unknown>) => {
    const configuration = configurationFrom(flags);
    const log = createLog(configuration.options);
    announce(configuration, log);
    await serve(configuration, { log, openBackend });
  });
}

async function serve(configuration: Configuration, deps: ServerDeps): Promise<void> {
  // Before the start: a signal during it must not leave pipelines behind.
  const signalled = new Promise<void>((resolve) => {
    let count = 0;
    const onSignal = (): void => {
      if (++count === 1) resolve();
      else process.exit(exitCodes.interrupted);
    };
    process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  });
  let server: MillraceServer;
  try {
    server = await startServer(configuration, deps);
  } catch (error) {
    if (error instanceof MillraceError) deps.log.fatal({ code: error.code }, error.message);
    else deps.log.fatal({ err: error }, "could not start");
    process.exit(exitCodes.notStarted);
  }
  await signalled;
  const drained = await server.close();
  process.exit(drained ? exitCodes.ok : exitCodes.drainCutOff);
}

/** What was found and what follows from it, so that nobody has to guess the defaults. */
function announce({ options, sources, hash }: Configuration, log: Log): void {
  const { cores, memoryBytes } = findMachine();
  const { pipelines, realtimePipelines, batchPipelines, threads, rowsMax, policy } = options;
  const layout = pipelines > 0 ? { pipelines } : { realtimePipelines, batchPipelines };
  log.info(
    {
      cores,
      memoryGiB: Math.round(memoryBytes / 2 ** 30),
      ...layout,
      threads,
      threadsFrom: sources.threads,
      rowsMax,
      policy,
      models: options.models,
      environment: options.environment,
      config: hash,
    },
    "starting",
  );
}
