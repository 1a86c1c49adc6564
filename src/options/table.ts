/**
 * READ FIRST. Every option of the server: the one table from which flags, environment variables, the configuration file,
 * `millrace config` and docs/options.md come. `resolve.ts` turns it and the sources into values.
 *
 *   key realtimePipelines   →   --realtime-pipelines   →   MILLRACE_REALTIME_PIPELINES
 *
 * In the file a protocol's options may also stand in a section of its name: `{"bert": {"port": 5555}}` is `bertPort`.
 */
import { accessOptions } from "./access-options.js";
import { baseOptions } from "./base-options.js";
import { bertOptions } from "./bert-options.js";
import type { OptionRows } from "./definition.js";
import { ectransformerOptions } from "./ectransformer-options.js";
import { grpcOptions } from "./grpc-options.js";
import { jobsOptions } from "./jobs-options.js";
import { natsOptions } from "./nats-options.js";
import type { OptionKey, Options } from "./options.js";
import { teiOptions } from "./tei-options.js";
import { tracingOptions } from "./tracing-options.js";
import { zmqOptions } from "./zmq-options.js";

export const optionTable: OptionRows<Options> = {
  ...baseOptions,
  ...accessOptions,
  ...jobsOptions,
  ...tracingOptions,
  ...natsOptions,
  ...grpcOptions,
  ...teiOptions,
  ...zmqOptions,
  ...bertOptions,
  ...ectransformerOptions,
};

/** Names under which the file may gather the options that begin so. */
export const optionSections = ["bert", "zmq", "grpc"] as const;

export const optionKeys: readonly OptionKey[] = Object.keys(optionTable).filter(isOptionKey);

/** Former key → the option that it names. */
export const formerKeys: ReadonlyMap<string, OptionKey> = new Map(
  optionKeys.flatMap((key) => {
    const { formerKey } = optionTable[key];
    return formerKey === undefined ? [] : [[formerKey, key] as const];
  }),
);

export function isOptionKey(key: string): key is OptionKey {
  return Object.hasOwn(optionTable, key);
}

/** Also of a former key. */
export function flagOf(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Also of a former key. */
export function variableOf(key: string): string {
  return `MILLRACE_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}
