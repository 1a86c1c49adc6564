/** Replies of text-embeddings-inference: JSON, and in the headers where the time went. */
import type { Reply } from "../../listen/http/http-front.js";
import type { SubmitSummary } from "../../submit/submit.js";
import type { JsonValue, Payload } from "../../work/payload.js";

/** What was worked on, for the headers. */
export interface Computed {
  /** Code points of the inputs. */
  readonly characters: number;
  readonly tokens: number;
  readonly summary: SubmitSummary;
}

/** What a route answers. */
export interface TeiAnswer {
  /** JSON. */
  readonly body: string;
  readonly computed?: Computed;
}

export function teiReply({ body, computed }: TeiAnswer): Reply {
  return {
    status: 200,
    contentType: "application/json",
    body,
    ...(computed === undefined ? {} : { headers: headersOf(computed) }),
  };
}

/** Whole milliseconds. */
function headersOf({ characters, tokens, summary }: Computed): Readonly<Record<string, string>> {
  const { prepareMs, queueMs, computeMs, totalMs } = summary.timings;
  const ms = (value: number): string => String(Math.round(value));
  return {
    "x-compute-type": "cpu",
    "x-compute-time": ms(totalMs),
    "x-compute-characters": String(characters),
    "x-compute-tokens": String(tokens),
    "x-total-time": ms(totalMs),
    "x-tokenization-time": ms(prepareMs),
    "x-queue-time": ms(queueMs),
    "x-inference-time": ms(computeMs),
  };
}

/** Of a result that says how many tokens the model read. */
export function tokensOf({ values }: Payload): number {
  return numberOf(values["inputTokens"]);
}

export function numberOf(value: JsonValue | undefined): number {
  return typeof value === "number" ? value : 0;
}
