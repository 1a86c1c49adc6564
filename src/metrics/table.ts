/** Every metric: the one table from which the registry and docs/metrics.md come. */

export type MetricDefinition =
  | {
      readonly type: "counter" | "gauge";
      readonly help: string;
      readonly labels: readonly string[];
    }
  | {
      readonly type: "histogram";
      readonly help: string;
      readonly labels: readonly string[];
      readonly buckets: readonly number[];
    };

/** From a millisecond to ten minutes: a waiting person and a night's bulk work share these. */
const seconds = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600,
];
const counts = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];
const ratios = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75];

function define<const Table extends Readonly<Record<`millrace_${string}`, MetricDefinition>>>(
  table: Table,
): Table {
  return table;
}

function counter(help: string, ...labels: string[]): MetricDefinition {
  return { type: "counter", help, labels };
}

function gauge(help: string, ...labels: string[]): MetricDefinition {
  return { type: "gauge", help, labels };
}

function histogram(help: string, buckets: readonly number[], labels: string[]): MetricDefinition {
  return { type: "histogram", help, labels, buckets };
}

export const metricTable: Readonly<Record<MetricName, MetricDefinition>> = define({
  millrace_info: gauge(
    "Always 1; which deployment this is.",
    "name",
    "environment",
    "version",
    "config",
    "node",
  ),
  millrace_ready: gauge("1 when requests are taken, else 0."),
  millrace_requests_total: counter(
    "Replies by route, status and class (`none` where it has none).",
    "route",
    "status",
    "class",
  ),
  millrace_requests_active: gauge("Requests that were accepted and are not finished."),
  millrace_refused_total: counter("Requests that failed as a whole, by error code.", "code"),
  millrace_status_polls_total: counter(
    "Requests that were answered from memory, by route.",
    "route",
  ),
  millrace_connections: gauge("Open connections."),
  millrace_messages_dropped_total: counter(
    "Messages over ZeroMQ that had no answer, or whose answer nobody took, by why.",
    "front",
    "reason",
  ),
  millrace_node_ready: gauge(
    "1 where a server of the deployment takes work, else 0.",
    "node",
    "role",
  ),
  millrace_node_wait_seconds: gauge(
    "How soon a node would take an item, as it reckons itself.",
    "node",
    "class",
  ),
  millrace_node_age_seconds: gauge("Since a server of the deployment said what it has.", "node"),
  millrace_node_items_total: counter("Inputs that another node of the deployment ran.", "node"),
  millrace_node_losses_total: counter(
    "Requests under which a node ended or was cut off; what it had not answered went to another.",
    "node",
  ),
  millrace_shared_prefixes_total: counter(
    "Subscriptions over ZeroMQ that read what is for another one as well: one identity is the beginning of the other.",
    "front",
  ),
  millrace_prepare_seconds: histogram("Preparing a request: its inputs become items.", seconds, [
    "class",
  ]),
  millrace_wait_seconds: histogram(
    "Longest wait of any item of a request until a pipeline took it.",
    seconds,
    ["class"],
  ),
  millrace_compute_seconds: histogram(
    "First hand-over to a pipeline until the last result of a request.",
    seconds,
    ["class"],
  ),
  millrace_request_seconds: histogram("Arrival of a request until its last result.", seconds, [
    "class",
  ]),
  millrace_items_total: counter(
    "Items by outcome (`done`, `failed`, `cancelled`) and error code (`none` where it has none).",
    "class",
    "outcome",
    "code",
  ),
  millrace_item_retries_total: counter("Items that were tried again after a worker was lost."),
  millrace_queue_items: gauge("Items that wait.", "model", "class"),
  millrace_queue_oldest_wait_seconds: gauge(
    "Wait of the oldest item in the queue.",
    "model",
    "class",
  ),
  millrace_queued_bytes: gauge(
    "Bytes of request bodies, and of what was made of them, that are queued.",
  ),
  millrace_bodies_bytes: gauge("Bytes of request bodies that are being read."),
  millrace_replies_bytes: gauge("Bytes of replies that their readers have not taken yet."),
  millrace_batches_total: counter(
    "Batches by why they left the queue.",
    "model",
    "class",
    "reason",
  ),
  millrace_batch_items: histogram("Items in a batch.", counts, ["model", "class"]),
  millrace_batch_padding_ratio: histogram("Share of a batch's units that is padding.", ratios, [
    "model",
    "class",
  ]),
  millrace_stage_runs_total: counter("Runs of a stage of a model.", "model", "stage"),
  millrace_stage_seconds_total: counter("Time in the runs of a stage.", "model", "stage"),
  millrace_stage_units_total: counter(
    "Units (tokens, or what the task counts) that a stage worked on, without padding.",
    "model",
    "stage",
  ),
  millrace_stage_padded_units_total: counter(
    "Units that a stage worked on, with padding.",
    "model",
    "stage",
  ),
  millrace_pipeline_state: gauge(
    "1 for the state that the pipeline is in, 0 for the others.",
    "pipeline",
    "state",
  ),
  millrace_model_resident_bytes: gauge(
    "By how much the process grew when it loaded the model that it hosts.",
    "pipeline",
    "model",
  ),
  millrace_model_loads_total: counter("Loads of a model that went well, by any pipeline.", "model"),
  millrace_model_evictions_total: counter(
    "Times that a model was unloaded, mostly to make room for another.",
    "model",
  ),
  millrace_model_load_failures: gauge("Loads of a model in a row that failed.", "model"),
  millrace_pipeline_items_in_flight: gauge("Items that a pipeline holds.", "pipeline"),
  millrace_pipeline_restarts_total: counter(
    "Processes that a pipeline has had beyond the first.",
    "pipeline",
  ),
  millrace_pipeline_memory_bytes: gauge("Resident memory of a pipeline's process.", "pipeline"),
  millrace_pipeline_cache_bytes: gauge(
    "Memory that the items in a pipeline hold: keys and values of generating rows.",
    "pipeline",
  ),
  millrace_jobs: gauge(
    "Durable jobs that have not ended, by state; none at a node, which hears of those only that it runs.",
    "state",
  ),
  millrace_jobs_ended_total: counter("Durable jobs that ended here since the start.", "state"),
  millrace_job_lines_total: counter(
    "Lines of durable jobs whose result was kept here since the start: `done` or `failed`.",
    "outcome",
  ),
  millrace_job_commits_total: counter("Chunks of durable jobs whose results were kept here."),
  millrace_job_chunks_in_flight: gauge("Chunks of durable jobs that are being run here."),
  millrace_job_store_up: gauge(
    "Whether the store of durable jobs can be used; the log says why not.",
  ),
  millrace_job_store_bytes: gauge("Bytes that files and jobs take in their store."),
  millrace_job_store_bytes_max: gauge("Bytes that they may take (`--jobs-bytes-max`)."),
  millrace_trace_spans_dropped_total: counter(
    "Spans of traces that were dropped: the collector took fewer than came (`queue_full`), or none (`export_failed`).",
    "reason",
  ),
  millrace_log_lines_dropped_total: counter(
    "Log lines that were dropped, because whoever reads standard output is too slow or gone.",
  ),
  millrace_process_memory_bytes: gauge("Resident memory of the server's own process."),
  millrace_event_loop_delay_seconds: gauge(
    "99th percentile of the event loop's delay over the last seconds.",
  ),
});

export type MetricName =
  | "millrace_info"
  | "millrace_ready"
  | "millrace_requests_total"
  | "millrace_requests_active"
  | "millrace_refused_total"
  | "millrace_status_polls_total"
  | "millrace_connections"
  | "millrace_messages_dropped_total"
  | "millrace_node_ready"
  | "millrace_node_wait_seconds"
  | "millrace_node_age_seconds"
  | "millrace_node_items_total"
  | "millrace_node_losses_total"
  | "millrace_shared_prefixes_total"
  | "millrace_prepare_seconds"
  | "millrace_wait_seconds"
  | "millrace_compute_seconds"
  | "millrace_request_seconds"
  | "millrace_items_total"
  | "millrace_item_retries_total"
  | "millrace_queue_items"
  | "millrace_queue_oldest_wait_seconds"
  | "millrace_queued_bytes"
  | "millrace_bodies_bytes"
  | "millrace_replies_bytes"
  | "millrace_batches_total"
  | "millrace_batch_items"
  | "millrace_batch_padding_ratio"
  | "millrace_stage_runs_total"
  | "millrace_stage_seconds_total"
  | "millrace_stage_units_total"
  | "millrace_stage_padded_units_total"
  | "millrace_pipeline_state"
  | "millrace_model_resident_bytes"
  | "millrace_model_loads_total"
  | "millrace_model_evictions_total"
  | "millrace_model_load_failures"
  | "millrace_pipeline_items_in_flight"
  | "millrace_pipeline_restarts_total"
  | "millrace_pipeline_memory_bytes"
  | "millrace_pipeline_cache_bytes"
  | "millrace_jobs"
  | "millrace_jobs_ended_total"
  | "millrace_job_lines_total"
  | "millrace_job_commits_total"
  | "millrace_job_chunks_in_flight"
  | "millrace_job_store_up"
  | "millrace_job_store_bytes"
  | "millrace_job_store_bytes_max"
  | "millrace_trace_spans_dropped_total"
  | "millrace_log_lines_dropped_total"
  | "millrace_process_memory_bytes"
  | "millrace_event_loop_delay_seconds";
