/** What a row of the table of options says. */
import type { Layout, Machine } from "./machine.js";
import type { FormerOptions, OptionKey } from "./options.js";

/** In the order in which they are told: the server, then whatever it speaks beside HTTP or for one protocol's clients. */
export const optionGroups = [
  "Serving",
  "Identity",
  "Pipelines",
  "Scheduling",
  "Limits",
  "Times",
  "Access",
  "Jobs",
  "Tracing",
  "NATS",
  "gRPC",
  "text-embeddings-inference",
  "ZeroMQ",
  "bert-as-service",
  "ECTrans",
] as const;

/** A default is a value, or is computed from the machine and the layout that was asked for. */
export type OptionDefault<Value> =
  | { readonly value: Value }
  | { readonly of: (machine: Machine, layout: Layout) => Value; readonly text: string };

/** An option that may be off has the default null, and null is no value that anybody can give. */
export type OptionType<Value> = [NonNullable<Value>] extends [number]
  ?
      | {
          readonly type: "integer";
          readonly unit: string;
          readonly min: number;
          readonly max: number;
          /** What null in the file stands for, where the program that is replaced has that word. */
          readonly none?: number;
          /** A list in the program that is replaced: why there is one here. A list of one is taken. */
          readonly whyOne?: string;
        }
      /** From 0 to 1. */
      | { readonly type: "ratio" }
      /** A number with its unit, `30d`, `12h`, `90m`, `45s`, `500ms`; the value is in milliseconds. */
      | { readonly type: "duration"; readonly minMs: number; readonly maxMs: number }
  : [NonNullable<Value>] extends [boolean]
    ? { readonly type: "flag" }
    :
        | { readonly type: "choice"; readonly choices: readonly NonNullable<Value>[] }
        /** Letters, digits, dot, dash and underscore: it travels in a header. */
        | { readonly type: "name" }
        | { readonly type: "text" }
        /** Made absolute: against the working folder, or against the folder of the configuration file. */
        | { readonly type: "path"; readonly what?: "file" | "folder" };

export type OptionDefinition<Value> = OptionType<Value> & {
  readonly group: (typeof optionGroups)[number];
  readonly help: string;
  readonly default: OptionDefault<Value>;
  /** False: two deployments that differ only here are the same configuration (`configHash`). */
  readonly hashed: boolean;
  /** The key that it had until the release before. */
  readonly formerKey?: keyof FormerOptions;
};

export type AnyOptionDefinition =
  | OptionDefinition<number | null>
  | OptionDefinition<string | null>
  | OptionDefinition<boolean>;

/** The rows of one file of options. */
export type OptionRows<Values> = { readonly [Key in keyof Values]: OptionDefinition<Values[Key]> };

/** An option as the one who gave it calls it: `--port`, `MILLRACE_PORT`, `port in FILE`. */
export type PlaceOf = (key: OptionKey) => string;
