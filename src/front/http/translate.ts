/** `POST /v1/translate`: body → submit → one JSON reply, or a line for each text as it is ready. */
import {
  MillraceError,
  type RequestTimings,
  type TranslateItem,
  type TranslateLine,
  type TranslateResponse,
} from "millrace-client/wire";
import type { SubmitOutcome, SubmitRequest, SubmitSummary } from "../../submit/submit.js";
import { readBody } from "./body.js";
import type { HttpContext } from "./context.js";
import type { Exchange } from "./exchange.js";
import { LineWriter } from "./line-writer.js";
import { parseTranslate } from "./translate-body.js";

export async function translate(exchange: Exchange, context: HttpContext): Promise<void> {
  const { submit, views, options } = context;
  if (views.ready().state === "draining") {
    throw new MillraceError("draining", "The server is stopping and takes no new work.");
  }
  const body = await readBody(exchange.request, exchange.response, options);
  const parsed = parseTranslate(body.text, options);
  const timeoutMs = parsed.timeoutMs ?? options.requestTimeoutMsDefault;
  const request: SubmitRequest = {
    ...parsed.request,
    id: exchange.id,
    deadlineAtMs: exchange.arrivedAtMs + timeoutMs,
    payloadBytes: body.bytes,
  };
  const work: Work = {
    itemCount: countOf(request),
    run: (onOutcome) => submit.submit(request, exchange.departed, onOutcome),
  };
  const reply = wantsLines(exchange) ? replyInLines : replyTogether;
  await reply(exchange, context, work);
}

interface Work {
  readonly itemCount: number;
  run(onOutcome: (outcome: SubmitOutcome) => void): Promise<SubmitSummary>;
}

async function replyTogether(exchange: Exchange, context: HttpContext, work: Work): Promise<void> {
  const results = Array.from({ length: work.itemCount }, (): TranslateItem | null => null);
  const summary = await work.run(({ index, item }) => {
    results[index] = item;
  });
  finish(exchange, context, summary);
  const body: TranslateResponse = {
    ...doneOf(exchange, context, summary),
    results: results.map((item, index) => item ?? missing(index)),
  };
  exchange.json(200, body, { "server-timing": serverTiming(summary.timings) });
}

async function replyInLines(exchange: Exchange, context: HttpContext, work: Work): Promise<void> {
  const lines = new LineWriter(exchange.response, context.options.replyTimeoutMs);
  const write = (line: TranslateLine): void => {
    // The head waits for the first line: what is refused before it is answered with its own status.
    if (!exchange.response.headersSent) exchange.begin(200, { "content-type": ndjson });
    lines.write(`${JSON.stringify(line)}\n`);
  };
  try {
    const summary = await work.run(({ index, item }) => write({ index, ...item }));
    finish(exchange, context, summary);
    write({ done: doneOf(exchange, context, summary) });
  } catch (thrown) {
    if (!exchange.response.headersSent) throw thrown;
    const error = exchange.toMillraceError(thrown);
    context.metrics.refused(error.code);
    write({ error: error.toWire() });
  }
  await lines.end();
}

const ndjson = "application/x-ndjson";

function wantsLines(exchange: Exchange): boolean {
  const accepted = (exchange.request.headers.accept ?? "").split(",");
  return accepted.some((range) => range.split(";", 1)[0]?.trim().toLowerCase() === ndjson);
}

function countOf({ inputs }: SubmitRequest): number {
  return inputs.kind === "texts" ? inputs.texts.length : inputs.tokenIds.length;
}

function finish(exchange: Exchange, { metrics }: HttpContext, summary: SubmitSummary): void {
  exchange.workClass = summary.class;
  metrics.requestFinished(summary.class, summary.timings);
}

function doneOf(
  exchange: Exchange,
  { views }: HttpContext,
  summary: SubmitSummary,
): Omit<TranslateResponse, "results"> {
  const { model, class: workClass, timings, pipelines } = summary;
  return {
    id: exchange.id,
    model,
    class: workClass,
    timings,
    pipelines,
    deployment: views.identity,
  };
}

function serverTiming(timings: RequestTimings): string {
  const { prepareMs: prepare, queueMs: queue, computeMs: compute, totalMs: total } = timings;
  return Object.entries({ prepare, queue, compute, total })
    .map(([phase, ms]) => `${phase};dur=${ms.toFixed(2)}`)
    .join(", ");
}

function missing(index: number): never {
  throw new Error(
    `submit settled without an outcome for text ${index}: a bug of the implementation of Submit`,
  );
}
