/** `POST /v1/<task>`: body → submit → one JSON reply, a line for each input as it is ready, or rows of numbers. */
import type { RequestTimings } from "millrace-client/wire";
import type { Exchange, ReceivedBody, Route } from "../../listen/http/http-front.js";
import type { Options } from "../../options/options.js";
import type { SubmitOutcome } from "../../submit/submit.js";
import { refuseWhileDraining } from "../../work/draining.js";
import { inTurns } from "../../work/in-turns.js";
import { parseObject, parseSteps, tensorBody } from "../../work/json-object.js";
import { askEach, type Question } from "../ask.js";
import type { FrontParts, FrontTask } from "../front.js";
import { jsonReply } from "../json-reply.js";
import { accepts } from "../media-type.js";
import { readQuestion } from "../read-question.js";
import { replySummary } from "../reply-summary.js";
import { resultSteps } from "../result-json.js";
import { resultsJson } from "../results-json.js";
import { TextTurns } from "../text-turns.js";
import { withBody } from "../with-body.js";
import { type BodyKind, bodyKindOf } from "./body-kind.js";
import { fileFields, formFields } from "./files.js";
import { taskDoc } from "./route-docs.js";
import { RowsReply, rowsMediaType } from "./rows-reply.js";

export function taskRoute(task: FrontTask, parts: FrontParts): Route {
  const doc = taskDoc(task, parts.options);
  return {
    path: `/v1/${task.name}`,
    method: "POST",
    ...(doc === undefined ? {} : { doc }),
    handler: (exchange) => answer(exchange, task, parts),
  };
}

async function answer(exchange: Exchange, task: FrontTask, parts: FrontParts): Promise<void> {
  refuseWhileDraining(parts.views);
  const kind = bodyKindOf(exchange, task);
  const { options } = parts;
  // Bytes are moved and not parsed: they may be more than JSON, which holds the event loop.
  const bytesMax = kind === "json" ? undefined : options.imageBodyBytesMax;
  await withBody(exchange, {
    bytesMax,
    read: async (body) => {
      const fields = await fieldsOf(body, { kind, task, exchange, options });
      return readQuestion(fields, { task, options, payloadBytes: body.bytes });
    },
    answer: (question) => {
      const { rows } = task;
      if (rows !== undefined && accepts(exchange, rowsMediaType)) {
        return replyInRows(exchange, parts, { question, rows });
      }
      const reply = accepts(exchange, ndjson) ? replyInLines : replyTogether;
      return reply(exchange, { ...parts, task }, question);
    },
  });
}

interface ReplyParts extends FrontParts {
  readonly task: FrontTask;
}

interface BodyParts {
  readonly kind: BodyKind;
  readonly task: FrontTask;
  readonly exchange: Exchange;
  readonly options: Options;
}

/** What was received lives no longer than this call: it would else wait beside what was read from it. */
async function fieldsOf(
  body: ReceivedBody,
  { kind, task, exchange, options }: BodyParts,
): Promise<Readonly<Record<string, unknown>>> {
  switch (kind) {
    case "json":
      if (task.tensors === undefined) return parseObject(body.text());
      return await inTurns(parseSteps(body.text(), tensorBody));
    case "file":
      return fileFields(body.buffer(), task, exchange);
    case "form": {
      const contentType = exchange.headers["content-type"] ?? "";
      const filesMax = options.requestInputsMax;
      return await formFields(body.buffer(), task, { contentType, filesMax });
    }
  }
}

async function replyTogether(
  exchange: Exchange,
  parts: ReplyParts,
  question: Question,
): Promise<void> {
  const asked = { question, task: parts.task };
  const { results, summary } = await resultsJson(parts, exchange, asked);
  const rest = JSON.stringify(replySummary(exchange.id, summary, parts)).slice(0, -1);
  const body = `${rest},"results":${results}}`;
  const headers = { "server-timing": serverTiming(summary.timings) };
  exchange.reply(jsonReply(200, body, headers));
}

/** Nothing but numbers, for who reads many of them. */
async function replyInRows(
  exchange: Exchange,
  parts: FrontParts,
  { question, rows }: { readonly question: Question; readonly rows: string },
): Promise<void> {
  const reply = new RowsReply(rows);
  const onOutcome = (outcome: SubmitOutcome): void => reply.add(outcome);
  const summary = await askEach(parts, exchange, { ...question, onOutcome });
  const headers = { "server-timing": serverTiming(summary.timings) };
  exchange.reply(reply.reply(summary.inputs, headers));
}

/** The head goes as soon as nothing at the door can refuse the request: what is refused has its own status. */
async function replyInLines(
  exchange: Exchange,
  parts: ReplyParts,
  question: Question,
): Promise<void> {
  let lines: ReturnType<Exchange["stream"]> | null = null;
  const begun = (): NonNullable<typeof lines> => {
    // Readers of lines skip an empty one.
    lines ??= exchange.stream({ status: 200, contentType: ndjson, signOfLife: "\n" });
    return lines;
  };
  const writeText = (line: string): void => begun().write(`${line}\n`);
  const write = (line: object): void => writeText(JSON.stringify(line));
  using turns = new TextTurns();
  try {
    const summary = await askEach(parts, exchange, {
      ...question,
      onAccepted: () => void begun(),
      onOutcome: ({ index, outcome }) =>
        turns.add(resultSteps(outcome, parts.task), (json) =>
          writeText(`{"index":${index},${json.slice(1)}`),
        ),
    });
    await turns.end();
    write({ done: replySummary(exchange.id, summary, parts) });
  } catch (thrown) {
    if (lines === null) throw thrown;
    write({ error: exchange.told(thrown).toWire() });
  }
  await begun().end();
}

const ndjson = "application/x-ndjson";

function serverTiming(timings: RequestTimings): string {
  const { prepareMs: prepare, queueMs: queue, computeMs: compute, totalMs: total } = timings;
  return Object.entries({ prepare, queue, compute, total })
    .map(([phase, ms]) => `${phase};dur=${ms.toFixed(2)}`)
    .join(", ");
}
