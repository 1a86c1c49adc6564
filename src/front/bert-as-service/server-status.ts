/**
 * What SHOW_CONFIG and SHOW_STATUS tell, from memory: the keys of the original, with what is true here, or its default where there
 * is no such thing.
 */
import type { BertPoolingStrategy } from "../../options/bert-options.js";
import { type Caller, mayUse } from "../../work/caller.js";
import type { JsonObject } from "../../work/payload.js";
import type { FrontParts } from "../front.js";
import type { Statistic } from "./statistic.js";

/** Clients refuse a server of another version than their own. */
export const bertVersion = "1.10.0";

const strategyNumbers: Readonly<Record<BertPoolingStrategy, number>> = {
  NONE: 0,
  REDUCE_MAX: 1,
  REDUCE_MEAN: 2,
  REDUCE_MEAN_MAX: 3,
  CLS_TOKEN: 4,
  FIRST_TOKEN: 4,
  SEP_TOKEN: 5,
  LAST_TOKEN: 5,
};

export class ServerStatus {
  readonly #parts: FrontParts;
  readonly #statistic: Statistic;
  readonly #startedAt = timeOf(new Date());

  constructor(parts: FrontParts, statistic: Statistic) {
    this.#parts = parts;
    this.#statistic = statistic;
  }

  config(client: string, caller: Caller): JsonObject {
    const { options, views } = this.#parts;
    const isTheirs = options.bertModel !== null && mayUse(caller, options.bertModel);
    const { bertMaxSeqLen, bertPoolingStrategy, bertPoolingLayer } = options;
    const pipelines = options.pipelines + options.realtimePipelines + options.bulkPipelines;
    return {
      client,
      num_process: pipelines,
      "ventilator -> worker": [],
      "worker -> sink": "",
      "ventilator <-> sink": "",
      server_current_time: timeOf(new Date()),
      num_concurrent_socket: 1,
      ckpt_name: "bert_model.ckpt",
      config_name: "bert_config.json",
      cors: "*",
      cpu: true,
      device_map: [],
      do_lower_case: true,
      fixed_embed_length: options.bertFixedEmbedLength,
      fp16: false,
      gpu_memory_fraction: 0.5,
      graph_tmp_dir: null,
      http_max_connect: options.connectionsMax,
      http_port: options.bertHttp ? options.port : null,
      mask_cls_sep: options.bertMaskClsSep,
      max_batch_size: options.bertMaxBatchSize,
      max_seq_len: bertMaxSeqLen === 0 ? null : bertMaxSeqLen,
      model_dir: isTheirs ? options.bertModel : "",
      no_position_embeddings: false,
      no_special_token: false,
      num_labels: 2,
      num_worker: pipelines,
      pooling_layer: [bertPoolingLayer],
      pooling_strategy: strategyNumbers[bertPoolingStrategy],
      port: options.bertPort,
      port_out: options.bertPortOut,
      prefetch_size: options.prefetchRows,
      priority_batch_size: options.bertPriorityBatchSize,
      show_tokens_to_client: options.bertShowTokensToClient,
      tuned_model_dir: null,
      verbose: options.logLevel === "debug" || options.logLevel === "trace",
      xla: false,
      tensorflow_version: [],
      python_version: `none; Node.js ${process.version}`,
      server_version: bertVersion,
      pyzmq_version: "none; zeromq.js 6",
      zmq_version: "4.3",
      server_start_time: this.#startedAt,
      millrace_version: views.identity.version,
    };
  }

  status(client: string, caller: Caller): JsonObject {
    return { ...this.config(client, caller), statistic: this.#statistic.values() };
  }
}

/** As Python writes a date, in local time: `2019-05-15 03:19:37.000123`. */
function timeOf(date: Date): string {
  const local = new Date(date.getTime() - 60_000 * date.getTimezoneOffset());
  return `${local.toISOString().slice(0, -1).replace("T", " ")}000`;
}
