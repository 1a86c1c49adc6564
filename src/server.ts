/**
 * READ FIRST. Builds the parts, wires them, starts, drains, stops.
 *
 *   configuration ─► log, metrics ─► backend: models, prepare, scheduler, pool, submit
 *                                      │ submit + views
 *                                      ▼
 *                                    fronts ─► their routes ─► listener
 *
 * It listens before the pipelines are ready, so that `/live` and `/ready` can say what is going on.
 */
import type { DeploymentIdentity } from "millrace-client/wire";
import type { FrontParts, FrontTask, OpenFront } from "./front/front.js";
import { identificationOf } from "./front/identification.js";
import { openNativeFront } from "./front/native/native.js";
import {
  type HeldByListener,
  type HttpListener,
  startHttpListener,
} from "./listen/http/listener.js";
import type { Log } from "./log.js";
import { EventLoopDelay } from "./metrics/event-loop-delay.js";
import { Metrics } from "./metrics/metrics.js";
import type { Configuration } from "./options/resolve.js";
import type { Submit } from "./submit/submit.js";
import { translationAdapter, translationFields } from "./submit/translation-adapter.js";
import { version } from "./version.js";
import type { ServerViews } from "./work/views.js";

/** Every protocol that is spoken. The first one answers what is nobody's. */
const fronts: readonly [OpenFront, ...OpenFront[]] = [openNativeFront];

const tasks: readonly FrontTask[] = [{ name: "translate", fields: translationFields }];

/** Before there is a listener. */
const nothingHeld: HeldByListener = { connections: 0, bodiesBytes: 0, repliesBytes: 0 };

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
  readonly heldByListener: () => HeldByListener;
  readonly eventLoopDelayP99Ms: () => number;
}

export interface ServerDeps {
  readonly log: Log;
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

/** @throws whatever kept it from getting ready; nothing is left running then. */
export async function startServer(
  configuration: Configuration,
  deps: ServerDeps,
): Promise<MillraceServer> {
  const { options } = configuration;
  const metrics = new Metrics();
  const delay = new EventLoopDelay();
  let listener: HttpListener | null = null;
  let backend: Backend | null = null;
  try {
    backend = await deps.openBackend({
      configuration,
      identity: identityOf(configuration),
      metrics,
      log: deps.log,
      heldByListener: () => listener?.held() ?? nothingHeld,
      eventLoopDelayP99Ms: () => delay.p99Ms(),
    });
    listener = await listen(backend, { options, metrics, log: deps.log });
    await backend.start();
    deps.log.info({ http: listener.url }, "ready");
    return new RunningServer({ configuration, log: deps.log, backend, listener, delay });
  } catch (error) {
    await listener?.close();
    await backend?.stop();
    delay[Symbol.dispose]();
    throw error;
  }
}

interface ListenParts {
  readonly options: Configuration["options"];
  readonly metrics: Metrics;
  readonly log: Log;
}

async function listen(
  { submit, views }: Pick<Backend, "submit" | "views">,
  { options, metrics, log }: ListenParts,
): Promise<HttpListener> {
  const neutral = translationAdapter(submit, options);
  const parts: FrontParts = { submit: neutral, views, tasks, options, metrics };
  const [first, ...others] = fronts;
  return await startHttpListener({
    fronts: [first(parts).http, ...others.map((open) => open(parts).http)],
    identification: identificationOf(views.identity),
    limits: options,
    metrics,
    log,
  });
}

interface RunningParts {
  readonly configuration: Configuration;
  readonly log: Log;
  readonly backend: Backend;
  readonly listener: HttpListener;
  readonly delay: EventLoopDelay;
}

class RunningServer implements MillraceServer {
  readonly #parts: RunningParts;
  #closing: Promise<boolean> | null = null;

  constructor(parts: RunningParts) {
    this.#parts = parts;
  }

  get url(): string {
    return this.#parts.listener.url;
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
    const { configuration, log, backend, listener, delay } = this.#parts;
    const { drainMs } = configuration.options;
    log.info({ drainMs }, "draining");
    backend.drain();
    const drained = await within(drainMs, listener.drained());
    if (!drained) log.warn({ drainMs }, "drain took too long; what is left is cut off");
    await listener.close();
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
