/**
 * READ FIRST of all. The list of fronts, and the table of contents of a server: what is opened, one after the other.
 *
 *   configuration ─► log, metrics ─► link to NATS, where there is one (nats/connection.ts)
 *                                 ─► entrance: who may come in (access/entrance.ts)
 *                                 ─► backend: what is wired to what behind the fronts (backend/local-backend.ts, deployed-backend.ts)
 *                                      │ submit + views
 *                                      ├──► durable jobs (backend/open-jobs.ts) ─┐ ask the routes of fronts
 *                                      ▼                                         ▼
 *                                    fronts (open-fronts.ts) ─► their routes ─► listeners (listeners.ts)
 *
 * How all of it ends, from wherever the start has come: opened-parts.ts.
 *
 * It listens before the pipelines are ready, so that `/live` and `/ready` can say what is going on.
 */
import type { DeploymentIdentity, ModelsReload } from "millrace-client/wire";
import { openEntrance } from "./access/entrance.js";
import type { Backend, BackendParts, OpenBackend } from "./backend/backend.js";
import { openJobs } from "./backend/open-jobs.js";
import { diagnose } from "./doctor/doctor.js";
import { absentModels } from "./front/absent-models.js";
import { openBertFront } from "./front/bert-as-service/bert-as-service.js";
import { openDeepLFront } from "./front/deepl/deepl.js";
import { openEctransformerFront } from "./front/ectransformer/ectransformer.js";
import type { OpenFront } from "./front/front.js";
import { openHuggingfaceFront } from "./front/huggingface/huggingface.js";
import { openInferenceV2Front } from "./front/inference-v2/inference-v2.js";
import { openNativeFront } from "./front/native/native.js";
import { openOpenAiFront } from "./front/openai/openai.js";
import { openPageFront } from "./front/page/page.js";
import { openStreamsFront } from "./front/streams/streams.js";
import { openTeiFront } from "./front/tei/tei.js";
import { wholeStatus } from "./jobs/whole-status.js";
import { closeListeners, type Listeners, openListeners, openWithoutPorts } from "./listeners.js";
import type { Log } from "./log.js";
import type { LogOutput } from "./log-output.js";
import { Metrics } from "./metrics/metrics.js";
import { type Look, StatusFeed } from "./metrics/status-feed.js";
import type { NatsLink } from "./nats/connection.js";
import { openFronts } from "./open-fronts.js";
import { OpenedParts, unlessAborted } from "./opened-parts.js";
import type { FrontName } from "./options/front-names.js";
import type { Configuration } from "./options/resolve.js";
import { Profiles } from "./profile/profiles.js";
import type { Submit } from "./submit/submit.js";
import { openTracing } from "./tracing/open-tracing.js";
import { version } from "./version.js";
import type { ServerViews } from "./work/views.js";
import { type Resolvers, withResolvers } from "./work/with-resolvers.js";

/** Every protocol that can be spoken, as `--fronts` calls it. The first one that it names answers what is nobody's. */
const fronts = {
  native: openNativeFront,
  page: openPageFront,
  "inference-v2": openInferenceV2Front,
  streams: openStreamsFront,
  openai: openOpenAiFront,
  deepl: openDeepLFront,
  "bert-as-service": openBertFront,
  tei: openTeiFront,
  huggingface: openHuggingfaceFront,
  ectransformer: openEctransformerFront,
} satisfies Readonly<Record<FrontName, OpenFront>>;

export interface ServerParts {
  readonly log: Log;
  /** Where `log` writes to, for the metrics; absent where that is the caller's own. */
  readonly logOutput?: LogOutput;
  /** Ends the start: what was begun is stopped, and `startServer` rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly openBackend: OpenBackend;
  /** No port is listened on: it is asked by `fetch` only. Default: false. */
  readonly isWithoutPorts?: boolean;
}

export interface MillraceServer extends AsyncDisposable {
  /** For instance `http://127.0.0.1:8400`. */
  readonly url: string;
  /** The routes without a port, as `globalThis.fetch`, for callers in this process: no key is asked for. */
  readonly fetch: (url: string, init?: RequestInit) => Promise<Response>;
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

const brokenText =
  "broken inside: a bug in Millrace; every request has failed, and the server stops";

/** @throws whatever kept it from getting ready, or the reason of `signal`; nothing is left running then. */
export async function startServer(
  configuration: Configuration,
  parts: ServerParts,
): Promise<MillraceServer> {
  const { options, warnings } = configuration;
  const { log, logOutput, signal = new AbortController().signal } = parts;
  for (const warning of warnings) log.warn(warning);
  const metrics = new Metrics();
  if (logOutput !== undefined) logOutput.onDropped = () => metrics.logLineDropped();
  const broken = withResolvers();
  const terminated = withResolvers();
  const identity = identityOf(configuration);
  const opened = new OpenedParts();
  try {
    const link = await openLink(configuration, log);
    opened.link = link;
    const entering = openEntrance(options, log);
    const entrance = await unlessAborted(signal, entering, (late) => late.close());
    opened.entrance = entrance;
    const behind = openBehind(parts.openBackend, link, {
      configuration,
      identity,
      metrics,
      log,
      heldByListener: () => opened.held(),
      eventLoopDelayP99Ms: () => opened.delay.p99Ms(),
      onBroken: (error) => {
        log.fatal({ err: error }, brokenText);
        broken.resolve();
      },
    });
    const backend = await unlessAborted(signal, behind, (late) => late.stop({ drainMs: 0 }));
    opened.backend = backend;
    const { views } = backend;
    const keys = entrance.access;
    const keeping = openJobs({ options, views, log, metrics, keys }, link);
    const work = await unlessAborted(signal, keeping, async (late) => late?.stop({ drainMs: 0 }));
    opened.jobs = work;
    const tracing = await openTracing({ options, identity, metrics, log });
    opened.tracing = tracing;
    const { tracer } = tracing;
    const wired = { options, metrics, log, tracer, entrance };
    const jobs = work?.jobs ?? null;
    const terminate = terminated.resolve;
    const look = (): Look => ({
      status: wholeStatus(views, jobs),
      nodes: views.nodes?.() ?? null,
    });
    const feed = new StatusFeed(look, diagnose);
    opened.feed = feed;
    const profiles = profilesOf(backend);
    opened.profiles = profiles;
    const behindFronts = { backend, jobs, terminate, feed, profiles };
    const { spoken, callRoute } = openFronts({ ...wired, known: fronts, ...behindFronts });
    const open = parts.isWithoutPorts === true ? openWithoutPorts : openListeners;
    const listening = Promise.resolve(open(spoken, { ...wired, views, link }));
    const listeners = await unlessAborted(signal, listening, closeListeners);
    opened.listeners = listeners;
    feed.start();
    for (const warning of absentModels(options, views.models())) log.warn(warning);
    await unlessAborted(signal, backend.start());
    if (work !== null) await unlessAborted(signal, work.start(callRoute));
    log.info(urlsOf(listeners), "ready");
    const { drainMs } = options;
    return new RunningServer({ log, drainMs, backend, listeners, opened, broken, terminated });
  } catch (error) {
    await opened.end(0);
    throw error;
  }
}

function profilesOf(backend: Backend): Profiles {
  const { views } = backend;
  return new Profiles({
    ofPipeline: (pipelineId, asked) => backend.profile?.(pipelineId, asked) ?? null,
    pipelineIds: () => backend.pipelineIds ?? [],
    stages: () => views.status().stages,
    isDraining: () => views.isDraining,
    hasOthers: () => views.nodes !== undefined,
  });
}

async function openLink({ options }: Configuration, log: Log): Promise<NatsLink | null> {
  const { nats, node } = options;
  if (nats === null) return null;
  // As in `openBehind`: the libraries of NATS are loaded where there is one only.
  const { NatsLink: Link } = await import("./nats/connection.js");
  return await Link.open({ ...options, nats, name: node, log });
}

async function openBehind(
  open: OpenBackend,
  link: NatsLink | null,
  parts: BackendParts,
): Promise<Backend> {
  if (link === null) return await open(parts);
  const { openDeployedBackend } = await import("./backend/deployed-backend.js");
  return await openDeployedBackend(open, parts, link);
}

function urlsOf({ http, admin, inProcess, all }: Listeners): ListenedUrls {
  const told: readonly unknown[] = [http, admin, inProcess];
  const others = all.filter((each) => !told.includes(each)).map(({ url }) => url);
  return { http: (http ?? inProcess).url, admin: admin?.url ?? null, others };
}

interface ListenedUrls {
  readonly http: string;
  readonly admin: string | null;
  readonly others: readonly string[];
}

interface RunningParts {
  readonly log: Log;
  readonly drainMs: number;
  readonly backend: Backend;
  readonly listeners: Listeners;
  readonly opened: OpenedParts;
  /** A promise inside was broken. */
  readonly broken: Resolvers<void>;
  /** A caller who may has stopped the server. */
  readonly terminated: Resolvers<void>;
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
    return urlsOf(this.#parts.listeners).http;
  }

  get fetch(): MillraceServer["fetch"] {
    const { inProcess } = this.#parts.listeners;
    return (url, init) => inProcess.fetch(url, init);
  }

  get adminUrl(): string | null {
    return urlsOf(this.#parts.listeners).admin;
  }

  get otherUrls(): readonly string[] {
    return urlsOf(this.#parts.listeners).others;
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

  async #drainAndStop(): Promise<boolean> {
    const { log, drainMs, opened } = this.#parts;
    log.info({ drainMs }, "draining");
    const drained = await opened.end(drainMs);
    if (!drained) log.warn({ drainMs }, "drain took too long; what was left is cut off");
    log.info("stopped");
    return drained;
  }
}

function identityOf({ options, hash }: Configuration): DeploymentIdentity {
  const { name, environment, node } = options;
  return { name, environment, version, configHash: hash, node };
}
