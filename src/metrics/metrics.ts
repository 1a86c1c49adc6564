/**
 * READ FIRST. The registry behind `/metrics`. What happens is told by the owners of the events, through the methods below;
 * what is (queues, pipelines, memory) is read from the status when somebody scrapes. Nothing here waits for a worker.
 */
import type {
  ErrorCode,
  NodeStatus,
  PipelineState,
  RequestTimings,
  StatusResponse,
  WorkClass,
} from "millrace-client/wire";
import { Counter, Gauge, Histogram, type OpenMetricsContentType, Registry } from "prom-client";
import type { TraceContext } from "../work/trace-context.js";
import { type MetricName, metricTable } from "./table.js";
import { Traffic } from "./traffic.js";

export interface BatchObservation {
  readonly model: string;
  readonly class: WorkClass;
  readonly reason: string;
  readonly items: number;
  readonly units: number;
  readonly paddedUnits: number;
}

export interface ReplyObservation {
  /** The route's pattern, never the path that the caller sent: the number of series is bounded. */
  readonly route: string;
  readonly status: number;
  readonly class: WorkClass | "none";
}

/** From memory. Sums are since the start. */
export interface JobsView {
  readonly open: ReadonlyMap<string, number>;
  readonly ended: ReadonlyMap<string, number>;
  readonly lines: { readonly done: number; readonly failed: number };
  readonly commits: number;
  readonly chunksInFlight: number;
  readonly store: {
    readonly bytes: number;
    readonly bytesMax: number;
    /** It can be used. */
    readonly isThere: boolean;
  };
}

/** Which exposition format; exemplars stand in OpenMetrics only. */
export type MetricsFormat = "prometheus" | "openmetrics";

interface Page {
  readonly registry: Registry | Registry<OpenMetricsContentType>;
  /** The last one that was made. */
  scraped: Promise<string> | null;
}

type Labels = Readonly<Record<string, string | number>>;

/** So much beyond a tenth of the time; any number of scrapers once in a while is within it. */
const scrapeMsMax = 50;

export class Metrics {
  readonly #pages: Readonly<Record<MetricsFormat, Page>> = {
    prometheus: { registry: new Registry(), scraped: null },
    openmetrics: { registry: openMetricsRegistry(), scraped: null },
  };
  #scrapedAtMs = 0;
  /** What making them took lately, less a tenth of the time since. */
  #scrapeMs = 0;
  readonly #counters = new Map<MetricName, Counter>();
  readonly #gauges = new Map<MetricName, Gauge>();
  readonly #histograms = new Map<MetricName, Histogram>();

  #jobs: (() => JobsView) | null = null;
  readonly #traffic = new Traffic();

  constructor() {
    for (const name of metricNames) this.#register(name);
  }

  /** By whoever has the durable jobs: asked at each scrape. Where nobody has any, there are no series of theirs. */
  jobsFrom(view: () => JobsView): void {
    this.#jobs = view;
  }

  /** By the listener, once for each reply that left or could not leave. */
  replied(reply: ReplyObservation): void {
    this.#count("millrace_requests_total", { ...reply });
  }

  /** By the listener, for a request that failed as a whole. */
  refused(code: ErrorCode): void {
    this.#count("millrace_refused_total", { code });
    this.#traffic.refused(code);
  }

  /** An input that another node of the deployment ran. */
  nodeAnswered(node: string): void {
    this.#count("millrace_node_items_total", { node });
  }

  /** A node was cut off or ended with a request of this server in it. */
  nodeLost(node: string): void {
    this.#count("millrace_node_losses_total", { node });
  }

  /** By the listener, for each request that was answered from memory. */
  polled(route: string): void {
    this.#count("millrace_status_polls_total", { route });
  }

  /** By a listener that cannot refuse: of messages that had no answer, and of answers that nobody took. */
  messagesDropped(front: string, reason: string, messages: number): void {
    this.#count("millrace_messages_dropped_total", { front, reason }, messages);
  }

  topicShared(front: string): void {
    this.#count("millrace_shared_prefixes_total", { front });
  }

  /** By the front, when a request has all its results. */
  requestFinished(workClass: WorkClass, timings: RequestTimings, trace?: TraceContext): void {
    // An example of a bucket is a trace that can be looked up.
    const exemplar = trace?.isSampled === true ? { trace_id: trace.traceId } : {};
    const observe = (name: MetricName, ms: number): void => {
      const of = { labels: { class: workClass }, value: ms / 1000, exemplarLabels: exemplar };
      this.#histograms.get(name)?.observe(of);
    };
    observe("millrace_prepare_seconds", timings.prepareMs);
    observe("millrace_wait_seconds", timings.queueMs);
    observe("millrace_compute_seconds", timings.computeMs);
    observe("millrace_request_seconds", timings.totalMs);
    this.#traffic.finished(workClass, timings, performance.now());
  }

  /** For the status, from memory. */
  traffic(nowMs: number): ReturnType<Traffic["view"]> {
    return this.#traffic.view(nowMs);
  }

  /** By whoever implements submit: each item once, some of one end together. */
  itemsDone(workClass: WorkClass, items: number): void {
    this.#count("millrace_items_total", { class: workClass, outcome: "done", code: "none" }, items);
  }

  itemsFailed(workClass: WorkClass, code: ErrorCode, items: number): void {
    const outcome = code === "cancelled" ? "cancelled" : "failed";
    this.#count("millrace_items_total", { class: workClass, outcome, code }, items);
    if (outcome === "failed") this.#traffic.itemsFailed(code, items);
  }

  itemRetried(): void {
    this.#count("millrace_item_retries_total", {});
  }

  /** By whoever exports traces. */
  spansDropped(reason: string, spans: number): void {
    this.#count("millrace_trace_spans_dropped_total", { reason }, spans);
  }

  /** By the log's output. */
  logLineDropped(): void {
    this.#count("millrace_log_lines_dropped_total", {});
  }

  /** By the owner of the scheduler, for each dispatch. */
  batchDispatched(batch: BatchObservation): void {
    const labels = { model: batch.model, class: batch.class };
    this.#count("millrace_batches_total", { ...labels, reason: batch.reason });
    this.#observe("millrace_batch_items", labels, batch.items);
    if (batch.paddedUnits > 0) {
      const padding = 1 - batch.units / batch.paddedUnits;
      this.#observe("millrace_batch_padding_ratio", labels, padding);
    }
  }

  /**
   * The text of `/metrics`. Takes the status, so that a scrape and `/status` can never disagree. Where making it takes more than
   * a tenth of the time for long, who asks is told what was true some milliseconds ago.
   */
  scrape(
    status: () => StatusResponse,
    nodes: () => readonly NodeStatus[] = () => [],
    format: MetricsFormat = "prometheus",
  ): Promise<string> {
    const page = this.#pages[format];
    const askedAtMs = performance.now();
    this.#scrapeMs = Math.max(0, this.#scrapeMs - (askedAtMs - this.#scrapedAtMs) / 10);
    this.#scrapedAtMs = askedAtMs;
    if (page.scraped !== null && this.#scrapeMs > scrapeMsMax) return page.scraped;
    this.#readNodes(nodes());
    const scraped = this.#render(status(), page);
    const made = (): void => {
      this.#scrapeMs += performance.now() - askedAtMs;
    };
    scraped.then(made, made);
    page.scraped = scraped;
    return scraped;
  }

  async #render(status: StatusResponse, { registry }: Page): Promise<string> {
    this.#readServer(status);
    this.#readQueues(status);
    this.#readPipelines(status);
    if (this.#jobs !== null) this.#readJobs(this.#jobs());
    return await registry.metrics();
  }

  contentTypeOf(format: MetricsFormat): string {
    return this.#pages[format].registry.contentType;
  }

  #readServer(status: StatusResponse): void {
    const { name, environment, version, configHash: config, node } = status.deployment;
    this.#set("millrace_info", { name, environment, version, config, node }, 1);
    const takes = status.state === "ready" || status.state === "degraded";
    this.#set("millrace_ready", {}, takes ? 1 : 0);
    this.#set("millrace_requests_active", {}, status.requests.active);
    this.#set("millrace_connections", {}, status.process.connections);
    this.#set("millrace_queued_bytes", {}, status.process.queuedBytes);
    this.#set("millrace_bodies_bytes", {}, status.process.bodiesBytes);
    this.#set("millrace_replies_bytes", {}, status.process.repliesBytes);
    this.#set("millrace_process_memory_bytes", {}, status.process.rssBytes);
    this.#set("millrace_event_loop_delay_seconds", {}, status.process.eventLoopDelayP99Ms / 1000);
  }

  /** By name: of two of one name the one that is heard of last. */
  #readNodes(nodes: readonly NodeStatus[]): void {
    this.#clear("millrace_node_ready", "millrace_node_wait_seconds", "millrace_node_age_seconds");
    for (const { node, role, state, draining, ageMs, waitMs } of nodes) {
      const takes = !draining && (state === "ready" || state === "degraded");
      this.#set("millrace_node_ready", { node, role }, takes ? 1 : 0);
      this.#set("millrace_node_age_seconds", { node }, ageMs / 1000);
      for (const [name, ms] of Object.entries(waitMs)) {
        this.#set("millrace_node_wait_seconds", { node, class: name }, ms / 1000);
      }
    }
  }

  #readQueues(status: StatusResponse): void {
    this.#clear("millrace_queue_items", "millrace_queue_oldest_wait_seconds");
    for (const queue of status.queues) {
      const labels = { model: queue.model, class: queue.class };
      this.#set("millrace_queue_items", labels, queue.items);
      this.#set("millrace_queue_oldest_wait_seconds", labels, queue.oldestWaitMs / 1000);
    }
  }

  #readPipelines(status: StatusResponse): void {
    this.#clear("millrace_pipeline_state", "millrace_pipeline_restarts_total");
    this.#clear("millrace_model_resident_bytes");
    for (const { pipelineId: pipeline, ...its } of status.pipelines) {
      for (const state of pipelineStates) {
        const labels = { pipeline, state };
        this.#set("millrace_pipeline_state", labels, its.state === state ? 1 : 0);
      }
      this.#set("millrace_pipeline_items_in_flight", { pipeline }, its.items.inFlight);
      this.#set("millrace_pipeline_memory_bytes", { pipeline }, its.memoryBytes);
      this.#set("millrace_pipeline_cache_bytes", { pipeline }, its.cacheBytes);
      this.#count("millrace_pipeline_restarts_total", { pipeline }, its.restarts);
      for (const { model, state, bytes } of its.models)
        if (state === "resident")
          this.#set("millrace_model_resident_bytes", { pipeline, model }, bytes);
    }
    this.#clear(
      "millrace_model_loads_total",
      "millrace_model_evictions_total",
      "millrace_model_load_failures",
    );
    for (const { model, loads, evictions, loadFailures } of status.models) {
      this.#count("millrace_model_loads_total", { model }, loads);
      this.#count("millrace_model_evictions_total", { model }, evictions);
      this.#set("millrace_model_load_failures", { model }, loadFailures);
    }
    this.#clear(
      "millrace_stage_runs_total",
      "millrace_stage_seconds_total",
      "millrace_stage_units_total",
      "millrace_stage_padded_units_total",
    );
    for (const stage of status.stages) {
      const labels = { model: stage.model, stage: stage.stage };
      this.#count("millrace_stage_runs_total", labels, stage.runs);
      this.#count("millrace_stage_seconds_total", labels, stage.ms / 1000);
      this.#count("millrace_stage_units_total", labels, stage.units);
      this.#count("millrace_stage_padded_units_total", labels, stage.paddedUnits);
    }
  }

  #readJobs({ open, ended, lines, commits, chunksInFlight, store }: JobsView): void {
    this.#clear(
      "millrace_jobs",
      "millrace_jobs_ended_total",
      "millrace_job_lines_total",
      "millrace_job_commits_total",
    );
    for (const [state, jobs] of open) this.#set("millrace_jobs", { state }, jobs);
    for (const [state, jobs] of ended) this.#count("millrace_jobs_ended_total", { state }, jobs);
    this.#count("millrace_job_lines_total", { outcome: "done" }, lines.done);
    this.#count("millrace_job_lines_total", { outcome: "failed" }, lines.failed);
    this.#count("millrace_job_commits_total", {}, commits);
    this.#set("millrace_job_chunks_in_flight", {}, chunksInFlight);
    this.#set("millrace_job_store_up", {}, store.isThere ? 1 : 0);
    this.#set("millrace_job_store_bytes", {}, store.bytes);
    this.#set("millrace_job_store_bytes_max", {}, store.bytesMax);
  }

  #register(name: MetricName): void {
    const definition = metricTable[name];
    const base = {
      name,
      help: definition.help,
      labelNames: [...definition.labels],
      registers: [],
    };
    switch (definition.type) {
      case "counter": {
        const counter = new Counter(base);
        this.#counters.set(name, counter);
        this.#pages.prometheus.registry.registerMetric(counter);
        // OpenMetrics' registry renames what it has, for `_total` is no part of a name there: it has a copy's name to do so.
        this.#pages.openmetrics.registry.registerMetric(named(counter, name));
        break;
      }
      case "gauge": {
        const gauge = new Gauge(base);
        this.#gauges.set(name, gauge);
        for (const { registry } of Object.values(this.#pages)) registry.registerMetric(gauge);
        break;
      }
      case "histogram": {
        const buckets = [...definition.buckets];
        const histogram = new Histogram({ ...base, buckets, enableExemplars: true });
        this.#histograms.set(name, histogram);
        for (const { registry } of Object.values(this.#pages)) registry.registerMetric(histogram);
        break;
      }
    }
  }

  #count(name: MetricName, labels: Labels, by = 1): void {
    this.#counters.get(name)?.inc({ ...labels }, by);
  }

  #set(name: MetricName, labels: Labels, value: number): void {
    this.#gauges.get(name)?.set({ ...labels }, value);
  }

  #observe(name: MetricName, labels: Labels, value: number): void {
    this.#histograms.get(name)?.observe({ labels: { ...labels }, value });
  }

  /** Series that are copied from the status start anew at each scrape: a pipeline that is gone leaves no trace. */
  #clear(...names: readonly MetricName[]): void {
    for (const name of names) {
      this.#counters.get(name)?.reset();
      this.#gauges.get(name)?.reset();
    }
  }
}

function openMetricsRegistry(): Registry<OpenMetricsContentType> {
  const registry = new Registry<OpenMetricsContentType>();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  return registry;
}

/** The same metric, with a name of its own. */
function named(counter: Counter, name: MetricName): Counter {
  return Object.create(counter, { name: { value: name, writable: true } }) as Counter;
}

const metricNames = Object.keys(metricTable) as MetricName[];

const pipelineStates = Object.keys({
  starting: 0,
  ready: 0,
  suspect: 0,
  "backing-off": 0,
  stopping: 0,
  stopped: 0,
} satisfies Record<PipelineState, 0>);
