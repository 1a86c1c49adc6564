/**
 * READ FIRST. Builds the parts, wires them, starts, drains, stops.
 *
 *   configuration ─► log, metrics ─► backend: models, prepare, scheduler, pool, submit
 *                                      │ submit + views
 *                                      ▼
 *                                    fronts: http
 *
 * The front listens before the pipelines are ready, so that `/live` and `/ready` can say what is going on.
 */
import type { DeploymentIdentity } from "millrace-client/wire";
import { type HttpFront, startHttpFront } from "./front/http/front.js";
import type { ServerViews } from "./front/views.js";
import type { Log } from "./log.js";
import type { LogOutput } from "./log-output.js";
import { EventLoopDelay } from "./metrics/event-loop-delay.js";
import { Metrics } from "./metrics/metrics.js";
import type { Configuration } from "./options/resolve.js";
import type { Submit } from "./submit/submit.js";
import { version } from "./version.js";

/** Everything behind the fronts. It owns the pipelines. */
export interface Backend {
  readonly submit: Submit;
  readonly views: ServerViews;
  /** Resolves when the first pipelines are ready; rejects when none can be. */
  start(): Promise<void>;
  /** Not ready from now on; takes no new work and finishes what it has. */
  drain(): void;
  /** Ends every pipeline, with whatever is in it; nothing is left running. Also after a failed start. */
  stop(): Promise<void>;
}

export interface BackendParts {
  readonly configuration: Configuration;
  readonly identity: DeploymentIdentity;
  readonly metrics: Metrics;
  readonly log: Log;
  /** For the status. */
  readonly connectionCount: () => number;
  readonly eventLoopDelayP99Ms: () => number;
  /** The script that workers run; default: the runtime's own. */
  readonly workerEntry?: string;
}

export interface ServerDeps {
  readonly log: Log;
  /** Where `log` writes to, for the metrics; absent where that is the caller's own. */
  readonly logOutput?: LogOutput;
  /** Ends the start: what was begun is stopped, and `startServer` rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly openBackend: (parts: BackendParts) => Backend | Promise<Backend>;
}

export interface MillraceServer extends AsyncDisposable {
  /** For instance `http://127.0.0.1:8400`. */
  readonly url: string;
  /** The seam below the fronts, for callers in this process. */
  readonly submit: Submit;
  readonly views: ServerViews;
  /**
   * Drains for at most `drainMs`, then ends everything. False where work was cut off. A second call gets the first
   * one's promise.
   */
  close(): Promise<boolean>;
}

/** @throws whatever kept it from getting ready, or the reason of `signal`; nothing is left running then. */
export async function startServer(
  configuration: Configuration,
  deps: ServerDeps,
): Promise<MillraceServer> {
  const { options, warnings } = configuration;
  const { signal = new AbortController().signal } = deps;
  for (const warning of warnings) deps.log.warn(warning);
  const metrics = new Metrics();
  if (deps.logOutput !== undefined) deps.logOutput.onDropped = () => metrics.logLineDropped();
  const delay = new EventLoopDelay();
  let front: HttpFront | null = null;
  let backend: Backend | null = null;
  try {
    const opening = deps.openBackend({
      configuration,
      identity: identityOf(configuration),
      metrics,
      log: deps.log,
      connectionCount: () => front?.connectionCount() ?? 0,
      eventLoopDelayP99Ms: () => delay.p99Ms(),
    });
    backend = await unlessAborted(signal, Promise.resolve(opening), (late) => late.stop());
    const { submit, views } = backend;
    const listening = startHttpFront({ submit, views, options, metrics, log: deps.log });
    front = await unlessAborted(signal, listening, (late) => late.close());
    await unlessAborted(signal, backend.start());
    deps.log.info({ http: front.url }, "ready");
    return new RunningServer({ configuration, log: deps.log, backend, front, delay });
  } catch (error) {
    backend?.drain();
    await front?.close();
    await backend?.stop();
    delay[Symbol.dispose]();
    throw error;
  }
}

/** Does not wait for the work once the signal has come: what it still brings is undone when it is there. */
async function unlessAborted<T>(
  signal: AbortSignal,
  work: Promise<T>,
  undo: (late: T) => Promise<void> = () => Promise.resolve(),
): Promise<T> {
  let onAbort: () => void = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([aborted, work]);
  } catch (error) {
    // Nobody is there any more to be told how it ended.
    if (signal.aborted) work.then(undo).catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

interface RunningParts {
  readonly configuration: Configuration;
  readonly log: Log;
  readonly backend: Backend;
  readonly front: HttpFront;
  readonly delay: EventLoopDelay;
}

class RunningServer implements MillraceServer {
  readonly #parts: RunningParts;
  #closing: Promise<boolean> | null = null;

  constructor(parts: RunningParts) {
    this.#parts = parts;
  }

  get url(): string {
    return this.#parts.front.url;
  }

  get submit(): Submit {
    return this.#parts.backend.submit;
  }

  get views(): ServerViews {
    return this.#parts.backend.views;
  }

  close(): Promise<boolean> {
    this.#closing ??= this.#drainAndStop();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Readiness goes first; then work in flight is finished; only then the port and the pipelines go. */
  async #drainAndStop(): Promise<boolean> {
    const { configuration, log, backend, front, delay } = this.#parts;
    const { drainMs } = configuration.options;
    log.info({ drainMs }, "draining");
    backend.drain();
    const drained = await within(drainMs, front.drained());
    if (!drained) log.warn({ drainMs }, "drain took too long; what is left is cut off");
    await front.close();
    await backend.stop();
    delay[Symbol.dispose]();
    log.info("stopped");
    return drained;
  }
}

/** False where the time was over first. */
async function within(ms: number, work: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const done = await Promise.race([work.then(() => true), late]);
  clearTimeout(timer);
  return done;
}

function identityOf({ options, hash }: Configuration): DeploymentIdentity {
  const { name, environment, node } = options;
  return { name, environment, version, configHash: hash, node };
}
