/** What an inference request says, over HTTP or gRPC: tensors, which are wanted, and how it is to be run. */
import {
  apiLimits,
  type TensorDatatype,
  tensorDatatypes,
  type WorkClass,
} from "millrace-client/wire";
import type { Options } from "../../options/options.js";
import { badField, Fields, kindOf, show } from "../../work/fields.js";
import { isJsonObject } from "../../work/payload.js";
import { wrong } from "../../work/tensor-json.js";
import { isDatatype, type NamedTensors } from "../../work/tensors.js";

export interface InferBody {
  /** The caller's own, echoed. */
  readonly id: string | undefined;
  readonly class: WorkClass | null;
  readonly timeoutMs: number;
  readonly tenant: string;
  /** Those of the request; what a task takes of them is its own to say. */
  readonly parameters: Fields;
  readonly inputs: NamedTensors;
  /** Undefined: all. */
  readonly outputs: readonly WantedOutput[] | undefined;
  /** Outputs of which nothing else is said are wanted as bytes. */
  readonly binaryOutputs: boolean;
}

/** What reading a request needs to know. */
export interface InferReading
  extends Pick<Options, "requestTimeoutMsDefault" | "requestTimeoutMsMax"> {
  /** Of a model: `TensorView.takesFiles`. Left out: never. */
  readonly takesFiles?: (model: string) => boolean;
}

export interface WantedOutput {
  readonly name: string;
  readonly binary: boolean;
}

/** Of Triton's extensions: what would be answered wrongly if it were passed over. */
const unknownExtensions = [
  "sequence_id",
  "sequence_start",
  "sequence_end",
  "shared_memory_region",
  "shared_memory_byte_size",
  "classification",
] as const;

/** Triton's: 1 is the highest priority and 0 none; the time is in microseconds. The tenant is ours: whose turn it is. */
export function readSchedule(
  parameters: Fields,
  { requestTimeoutMsDefault, requestTimeoutMsMax }: InferReading,
): Pick<InferBody, "class" | "timeoutMs" | "tenant"> {
  const priority = parameters.integer("priority", [0, Number.MAX_SAFE_INTEGER]) ?? 0;
  const timeoutUs = parameters.integer("timeout", [0, 1_000 * requestTimeoutMsMax]) ?? 0;
  return {
    class: priority === 0 ? null : priority === 1 ? "realtime" : "bulk",
    timeoutMs: timeoutUs === 0 ? requestTimeoutMsDefault : timeoutUs / 1_000,
    tenant: parameters.text("tenant", apiLimits.tenantCharactersMax) ?? "default",
  };
}

/** Strings, numbers and flags of anybody's choice; those of extensions that are not spoken are refused. */
export function readParameters(value: unknown, param: string): Fields {
  // Clients that are made of a schema send null for what they leave out.
  if (value == null) return new Fields({});
  if (!isJsonObject(value)) throw badField(param, `must be an object, not ${kindOf(value)}`);
  const unknown = unknownExtensions.find(
    (name) => Object.hasOwn(value, name) && isMeant(value[name]),
  );
  if (unknown === undefined) return new Fields(value);
  throw badField(`${param}.${unknown}`, "is of an extension that is not spoken here");
}

/** What a client sends for "none" asks for nothing. */
function isMeant(value: unknown): boolean {
  return value !== 0 && value !== false && value !== "" && value !== null;
}

/** @throws MillraceError `tensor_invalid` */
export function readDatatype(
  value: unknown,
  of: { readonly name: string; readonly param: string },
): TensorDatatype {
  if (isDatatype(value)) return value;
  throw wrong(
    of,
    `its datatype must be one of ${tensorDatatypes.join(", ")}, not ${show(value ?? null)}`,
  );
}
