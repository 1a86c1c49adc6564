/** `millrace serve`: options → server; the first signal drains, the second ends at once. */
import type { Command } from "commander";
import type { Log } from "../log.js";
import { type LogOutput, standardOutput } from "../log-output.js";
import type { Configuration } from "../options/resolve.js";
import { platform } from "../platform/platform.js";
import type { MillraceServer, ServerParts } from "../server.js";
import { aborted } from "../work/aborted.js";
import { type ExitCode, exitCodes } from "./exit-codes.js";
import { addOptionFlags, configurationFrom } from "./option-flags.js";
import { startProblem } from "./start-problem.js";

/** What a stop takes at most beside the drain: connections are let go within a second, workers within seven. */
const stopMsMax = 15_000;
/** The last lines of the log, `stopped` for example, may take so long to be read. */
const flushMsMax = 1_000;

const examples = `
Examples:
  $ millrace serve                                             the bundled models, at port 8400
  $ millrace serve --models ./models --port 9000               a folder of models, or one model
  $ millrace serve --models ./models --preload en-zh,minilm    these two are kept loaded
  $ millrace serve --host 0.0.0.0 --keys keys.json             for others too, with keys of millrace keys
  $ millrace serve --realtime-pipelines 1 --bulk-pipelines 3   people never share a process with robots

Spoken on the main port, unless --fronts says otherwise: HTTP in Millrace's, OpenAI's, DeepL's, Hugging Face's, KServe's and
text-embeddings-inference's words, and WebSockets. The rest has ports of its own:
  $ millrace serve --tei-model en-zh-embeddings                the model that TEI's clients mean
  $ millrace serve --grpc-port 8401                            KServe and Triton, over gRPC
  $ millrace serve --bert-port 5555 --bert-port-out 5556       bert-as-service
  $ millrace serve --zmq-port 5550 --zmq-port-out 5560         ECTrans

Every flag is also a variable and a key of --config; \`millrace config\` prints what would be used.
`;

export function registerServe(program: Command, openBackend: ServerParts["openBackend"]): void {
  const command = program
    .command("serve")
    .summary("serve the models of a folder, by default the bundled ones")
    .description(
      "Serve the models of a folder, by default the bundled ones, until SIGTERM or Ctrl-C.",
    )
    .addHelpText("after", examples);
  addOptionFlags(command).action(async (flags: Record<string, unknown>) => {
    const configuration = configurationFrom(flags);
    const logOutput = standardOutput(configuration.options.logBacklogBytesMax);
    const { createLog } = await import("../log.js");
    const log = createLog({ ...configuration.options, destination: logOutput });
    await serve(configuration, { log, logOutput, openBackend });
  });
}

type ServeParts = ServerParts & { readonly logOutput: LogOutput };

async function serve(given: Configuration, parts: ServeParts): Promise<void> {
  const { log, logOutput } = parts;
  const { drainMs } = given.options;
  const leave = async (code: ExitCode): Promise<never> => {
    await logOutput.flush(flushMsMax);
    process.exit(code);
  };
  const stopping = new AbortController();
  let server: MillraceServer | null = null;
  // Before the first line of the log: whoever has read that may send a signal.
  for (const signal of platform.stopSignals) process.on(signal, onSignal);
  if (platform.reloadSignal !== null) process.on(platform.reloadSignal, onHangUp);
  let isHungUp = false;
  function onHangUp(): void {
    // It may have looked at the folder already: it looks again when it serves.
    isHungUp = true;
    // How it went is in the log.
    server?.reload().catch(() => {});
  }
  function onSignal(signal: NodeJS.Signals): void {
    if (stopping.signal.aborted) process.exit(exitCodes.interrupted);
    log.info({ signal }, "stopping");
    stopping.abort();
    // Whatever hangs while it is stopped: workers end by themselves when this process is gone.
    const hang = (): void => {
      log.error({ stopMsMax }, "the stop takes too long; ended as it is");
      void leave(exitCodes.drainCutOff);
    };
    setTimeout(hang, (server === null ? 0 : drainMs) + stopMsMax);
  }
  try {
    // Only now: they are most of the code, and no other command needs it.
    const { withTrial } = await import("../trial/trial.js");
    const { startServer } = await import("../server.js");
    const configuration = await withTrial(given, { log, signal: stopping.signal });
    announce(configuration, log);
    server = await startServer(configuration, { ...parts, signal: stopping.signal });
  } catch (error) {
    if (stopping.signal.aborted && error === stopping.signal.reason) {
      log.info("stopped before it was ready");
      return await leave(exitCodes.ok);
    }
    const { fields, message, exitCode } = startProblem(error, given.options);
    log.fatal(fields, message);
    return await leave(exitCode);
  }
  if (isHungUp) onHangUp();
  const broken = server.broken.then(() => true);
  const stopped = Promise.race([aborted(stopping.signal), server.terminated]);
  if (await Promise.race([stopped.then(() => false), broken])) {
    await server.close();
    return await leave(exitCodes.broken);
  }
  const drained = await server.close();
  await leave(drained ? exitCodes.ok : exitCodes.drainCutOff);
}

/** What was found and what follows from it, so that nobody has to guess the defaults. */
function announce({ options, sources, hash, machine }: Configuration, log: Log): void {
  const { cores, coresFrom, memoryBytes, memoryFrom } = machine;
  const { pipelines, realtimePipelines, bulkPipelines, threads, rowsMax, policy } = options;
  const layout = pipelines > 0 ? { pipelines } : { realtimePipelines, bulkPipelines };
  const rows = rowsMax === null ? {} : { rowsMax };
  log.info(
    {
      cores,
      coresFrom,
      memoryGiB: Number((memoryBytes / 2 ** 30).toFixed(1)),
      memoryFrom,
      ...layout,
      threads,
      threadsFrom: sources.threads,
      ...rows,
      policy,
      models: options.models,
      environment: options.environment,
      config: hash,
    },
    "starting",
  );
  // Once, and as a whole: what follows from each is in the status.
  const { name, lacks } = platform;
  if (lacks.length > 0) {
    log.info({ system: name, lacks: lacks.map((lack) => lack.split(":")[0]) }, systemLacks);
  }
}

const systemLacks =
  "this system does not tell or do all that Linux does; docs/platforms.md says what follows";
