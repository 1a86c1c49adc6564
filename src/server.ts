/**
 * READ FIRST of all. The list of fronts, one backend, one listener: starts, drains, stops them.
 *
 *   configuration ─► log, metrics ─► backend (backend/local-backend.ts: what is wired to what behind the fronts)
 *                                      │ submit + views
 *                                      ▼
 *                                    fronts ─► their routes ─► listener
 *
 * It listens before the pipelines are ready, so that `/live` and `/ready` can say what is going on.
 */
import type { DeploymentIdentity, ModelsReload } from "millrace-client/wire";
import { amongServers } from "./access/deployment-access.js";
import { type Entrance, openEntrance } from "./access/entrance.js";
import { GuardedSubmit } from "./access/guarded-submit.js";
import type { Backend, OpenBackend } from "./backend/backend.js";
import { openDeployedBackend } from "./backend/deployed-backend.js";
import { openJobs } from "./backend/open-jobs.js";
import { absentModels } from "./front/absent-models.js";
import { openBertFront } from "./front/bert-as-service/bert-as-service.js";
import { callRouteOf } from "./front/call-route.js";
import { openDeepLFront } from "./front/deepl/deepl.js";
import { openEctransformerFront } from "./front/ectransformer/ectransformer.js";
import type { Front, FrontParts, OpenFront } from "./front/front.js";
import { openHuggingfaceFront } from "./front/huggingface/huggingface.js";
import { openInferenceV2Front } from "./front/inference-v2/inference-v2.js";
import { openNativeFront } from "./front/native/native.js";
import { openNatsFront } from "./front/nats/nats.js";
import { openOpenAiFront } from "./front/openai/openai.js";
import { openApiDocument } from "./front/openapi.js";
import { openStreamsFront } from "./front/streams/streams.js";
import { openTeiFront } from "./front/tei/tei.js";
import type { JobWork } from "./jobs/job-work.js";
import type { CallRoute } from "./jobs/jobs.js";
import type { StoredCaller } from "./jobs/store.js";
import type { HeldByListener } from "./listen/http/listener.js";
import {
  closeListeners,
  frontsOfRole,
  type Listeners,
  openListeners,
  publicFronts,
} from "./listeners.js";
import type { Log } from "./log.js";
import type { LogOutput } from "./log-output.js";
import { EventLoopDelay } from "./metrics/event-loop-delay.js";
import { Metrics } from "./metrics/metrics.js";
import { NatsLink } from "./nats/connection.js";
import { chosenFronts, type FrontName } from "./options/front-names.js";
import type { Configuration } from "./options/resolve.js";
import type { Submit } from "./submit/submit.js";
import { version } from "./version.js";
import type { ServerViews } from "./work/views.js";

/** Every protocol that can be spoken, as `--fronts` calls it. The first one that it names answers what is nobody's. */
const fronts = {
  native: openNativeFront,
  "inference-v2": openInferenceV2Front,
  streams: openStreamsFront,
  openai: openOpenAiFront,
  deepl: openDeepLFront,
  "bert-as-service": openBertFront,
  tei: openTeiFront,
  huggingface: openHuggingfaceFront,
  ectransformer: openEctransformerFront,
} satisfies Readonly<Record<FrontName, OpenFront>>;

/** Before there is a listener. */
const nothingHeld: HeldByListener = { connections: 0, bodiesBytes: 0, repliesBytes: 0 };

export interface ServerParts {
  readonly log: Log;
  /** Where `log` writes to, for the metrics; absent where that is the caller's own. */
  readonly logOutput?: LogOutput;
  /** Ends the start: what was begun is stopped, and `startServer` rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly openBackend: OpenBackend;
}

export interface MillraceServer extends AsyncDisposable {
  /** For instance `http://127.0.0.1:8400`. */
  readonly url: string;
  /** Of the routes for operators, where they have a port of their own; else null. */
  readonly adminUrl: string | null;
  /** Where it listens for what is no HTTP: `tcp://127.0.0.1:5550 → tcp://127.0.0.1:5560`. */
  readonly otherUrls: readonly string[];
  /** The seam below the fronts, for callers in this process. */
  readonly submit: Submit;
  readonly views: ServerViews;
  /** Looks at the folder of models again; rejects where it holds nothing that can be served, and all stays as it was. */
  reload(): Promise<ModelsReload>;
  /**
   * Resolves when a promise inside was broken, which is a bug of Millrace: all requests have failed with `internal`, and
   * the server closes itself, because nobody knows any more who has what.
   */
  readonly broken: Promise<void>;
  /** Resolves when a client stopped the server (`bertTerminate`): it closes itself. */
  readonly terminated: Promise<void>;
  /**
   * Drains for at most `drainMs`, then ends everything. False where work was cut off. A second call gets the first
   * one's promise.
   */
  close(): Promise<boolean>;
}

/** @throws whatever kept it from getting ready, or the reason of `signal`; nothing is left running then. */
export async function startServer(
  configuration: Configuration,
  parts: ServerParts,
): Promise<MillraceServer> {
  const { options, warnings } = configuration;
  const { signal = new AbortController().signal } = parts;
  for (const warning of warnings) parts.log.warn(warning);
  const metrics = new Metrics();
  if (parts.logOutput !== undefined) parts.logOutput.onDropped = () => metrics.logLineDropped();
  const delay = new EventLoopDelay();
  const broken = new Broken(parts.log);
  const terminated = new Terminated();
  let entrance: Entrance | null = null;
  let listeners: Listeners | null = null;
  let backend: Backend | null = null;
  let jobs: JobWork | null = null;
  let link: NatsLink | null = null;
  try {
    link = await openLink(configuration, parts.log);
    const entering = openEntrance(options, parts.log);
    entrance = await unlessAborted(signal, entering, (late) => late.close());
    const wanted = {
      configuration,
      identity: identityOf(configuration),
      metrics,
      log: parts.log,
      heldByListener: () => listeners?.http.held() ?? nothingHeld,
      eventLoopDelayP99Ms: () => delay.p99Ms(),
      onBroken: broken.resolve,
    };
    const { openBackend } = parts;
    const opening =
      link === null ? openBackend(wanted) : openDeployedBackend(openBackend, wanted, link);
    backend = await unlessAborted(signal, Promise.resolve(opening), (late) =>
      late.stop({ drainMs: 0 }),
    );
    const { log } = parts;
    const { views } = backend;
    const { access } = entrance;
    const isRevoked = (caller: StoredCaller): boolean => access.standing(caller) === "revoked";
    const keeping = openJobs({ options, views, log, metrics, isRevoked }, link);
    jobs = await unlessAborted(signal, keeping, async (late) => late?.stop({ drainMs: 0 }));
    const wired = { options, metrics, log, entrance };
    const opened = openFronts(backend, { ...wired, jobs, terminate: terminated.resolve });
    const listening = openListeners(opened.spoken, { ...wired, views, link });
    listeners = await unlessAborted(signal, listening, closeListeners);
    for (const warning of absentModels(options, views.models())) log.warn(warning);
    await unlessAborted(signal, backend.start());
    await unlessAborted(signal, jobs?.start(opened.callRoute) ?? Promise.resolve());
    const { http, admin } = listeners;
    const urls = { http: http.url, admin: admin?.url ?? null, others: otherUrls(listeners) };
    log.info(urls, "ready");
    const running = { listeners, entrance, delay, broken, terminated, jobs, link };
    return new RunningServer({ configuration, log, backend, ...running });
  } catch (error) {
    backend?.drain();
    if (listeners !== null) await closeListeners(listeners);
    await backend?.stop({ drainMs: 0 });
    await jobs?.stop({ drainMs: 0 });
    await link?.close();
    await entrance?.close();
    delay[Symbol.dispose]();
    throw error;
  }
}

/** Does not wait for the work once the signal has come: what it still brings is undone when it is there. */
async function unlessAborted<T>(
  signal: AbortSignal,
  work: Promise<T>,
  undo: (late: T) => Promise<unknown> = () => Promise.resolve(),
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

async function openLink({ options }: Configuration, log: Log): Promise<NatsLink | null> {
  const { nats, node } = options;
  return nats === null ? null : await NatsLink.open({ ...options, nats, name: node, log });
}

function otherUrls({ http, admin, all }: Listeners): readonly string[] {
  return all.filter((each) => each !== http && each !== admin).map(({ url }) => url);
}

interface Wired {
  readonly options: Configuration["options"];
  readonly metrics: Metrics;
  readonly log: Log;
  readonly entrance: Entrance;
}

interface OpenedFronts {
  readonly spoken: readonly Front[];
  /** Of them and, spoken or not, of those whose words jobs are in. */
  readonly callRoute: CallRoute;
}

interface WiredToFronts extends Wired {
  readonly jobs: JobWork | null;
  readonly terminate: () => void;
}

function openFronts(
  backend: Pick<Backend, "submit" | "views" | "reload" | "repository" | "node">,
  { options, metrics, log, entrance, jobs, terminate }: WiredToFronts,
): OpenedFronts {
  const { views } = backend;
  const { access: own } = entrance;
  const submit = new GuardedSubmit(backend.submit, options.nats === null ? own : amongServers(own));
  const reload = (): Promise<ModelsReload> => backend.reload();
  const tasks = [...backend.submit.tasks].map(([name, form]) => ({ ...form, name }));
  let description: string | null = null;
  const openApi = (): string => {
    const overHttp = publicFronts(opened, entrance);
    description ??= JSON.stringify(openApiDocument(overHttp, version));
    return description;
  };
  const parts: FrontParts = { submit, views, tasks, options, metrics, reload, terminate, openApi };
  const { repository } = backend;
  const kept = jobs === null ? parts : { ...parts, jobs: jobs.jobs };
  const all = repository === undefined ? kept : { ...kept, repository };
  const chosen = chosenFronts(options.fronts);
  // Options are read before there is a server: what they say of fronts is right.
  if ("problem" in chosen) throw new Error(chosen.problem);
  const opened: readonly Front[] = chosen.names.map((name) => fronts[name](all));
  const inWordsOfJobs = (["native", "openai"] as const)
    .filter((name) => !chosen.names.includes(name))
    .map((name) => fronts[name](all));
  const callRoute = callRouteOf({
    fronts: [...opened, ...inWordsOfJobs].flatMap(({ http }) => http ?? []),
    paths: new Set(["/v1/embeddings", ...tasks.map(({ name }) => `/v1/${name}`)]),
    log,
  });
  if (options.nats === null || backend.node === undefined) return { spoken: opened, callRoute };
  // What comes from others of the deployment is done here, and not sent on.
  const ofOthers = new GuardedSubmit(backend.node.submit);
  const spoken = frontsOfRole([...opened, openNatsFront({ submit: ofOthers, metrics })], options);
  return { spoken, callRoute };
}

interface RunningParts {
  readonly configuration: Configuration;
  readonly log: Log;
  readonly backend: Backend;
  readonly entrance: Entrance;
  readonly listeners: Listeners;
  /** Null: a server for itself. */
  readonly link: NatsLink | null;
  readonly delay: EventLoopDelay;
  readonly broken: Broken;
  readonly terminated: Terminated;
  /** Null where none are kept. */
  readonly jobs: JobWork | null;
}

/** A caller who may has stopped the server. */
class Terminated {
  readonly promise: Promise<void>;
  readonly resolve: () => void;

  constructor() {
    let settle: () => void = () => {};
    this.promise = new Promise((resolve) => {
      settle = resolve;
    });
    this.resolve = settle;
  }
}

/** A promise inside was broken. The first one counts. */
class Broken {
  readonly promise: Promise<void>;
  readonly resolve: (error: unknown) => void;

  constructor(log: Log) {
    let settle: () => void = () => {};
    this.promise = new Promise((resolve) => {
      settle = resolve;
    });
    this.resolve = (error) => {
      log.fatal(
        { err: error },
        "broken inside: a bug in Millrace; every request has failed, and the server stops",
      );
      settle();
    };
  }
}

class RunningServer implements MillraceServer {
  readonly #parts: RunningParts;
  #closing: Promise<boolean> | null = null;

  constructor(parts: RunningParts) {
    this.#parts = parts;
    void parts.broken.promise.then(() => this.close());
    void parts.terminated.promise.then(() => {
      parts.log.info("stopping: a client asked for it");
      return this.close();
    });
  }

  get terminated(): Promise<void> {
    return this.#parts.terminated.promise;
  }

  get broken(): Promise<void> {
    return this.#parts.broken.promise;
  }

  get url(): string {
    return this.#parts.listeners.http.url;
  }

  get adminUrl(): string | null {
    return this.#parts.listeners.admin?.url ?? null;
  }

  get otherUrls(): readonly string[] {
    return otherUrls(this.#parts.listeners);
  }

  get submit(): Submit {
    return this.#parts.backend.submit;
  }

  reload(): Promise<ModelsReload> {
    return this.#parts.backend.reload();
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

  /** Readiness goes first; then work in flight is finished; then the port and the pipelines go. */
  async #drainAndStop(): Promise<boolean> {
    const { configuration, log, backend, listeners, entrance, delay, jobs, link } = this.#parts;
    const { drainMs } = configuration.options;
    log.info({ drainMs }, "draining");
    jobs?.drain();
    backend.drain();
    const endsAtMs = performance.now() + drainMs;
    const working = [
      ...listeners.all.map((each) => each.drained()),
      jobs?.drained() ?? Promise.resolve(),
    ];
    const answered = await within(drainMs, Promise.all(working));
    const leftMs = answered ? Math.max(0, endsAtMs - performance.now()) : 0;
    // Together: whoever is cut off is told so on the connection that is being closed. What is left, if all are answered,
    // is the work of callers in this process.
    const [, ended] = await Promise.all([
      closeListeners(listeners),
      backend.stop({ drainMs: leftMs }),
    ]);
    // Behind the listeners, whose callers may ask for jobs, and the pipelines: what of jobs was cut off is run again.
    await jobs?.stop({ drainMs: 0 });
    const drained = answered && ended;
    await link?.close();
    await entrance.close();
    if (!drained) log.warn({ drainMs }, "drain took too long; what was left is cut off");
    delay[Symbol.dispose]();
    log.info("stopped");
    return drained;
  }
}

/** False where the time was over first. */
async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
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
