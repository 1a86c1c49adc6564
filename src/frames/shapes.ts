/** What a frame is made of: a check for each field of each frame, and where in it tensors stand. */
import { isErrorCode } from "millrace-client/wire";
import type { ChildFrame, FrameOutcome, ParentFrame, StageReport } from "./messages.js";
import { messageCharactersMax } from "./messages.js";
import { ProtocolError } from "./protocol-error.js";
import { isPayloadHeader, type PayloadHeader, TailReader } from "./tail.js";

/** What the child said, checked; throws `ProtocolError`. The header is taken over: tensors get their data in it. */
export function parseChildFrame(header: unknown, tail: Uint8Array): ChildFrame {
  const frame = parseFrame<ChildFrame>(header, childShapes);
  if (frame.type === "load-failed") return { ...frame, message: cut(frame.message) };
  if (frame.type === "items") {
    const { outcomes } = frame;
    const payloads = outcomes.map((outcome) => (outcome.ok ? outcome.value : null));
    fillTensors(payloads, tail);
    return { type: "items", outcomes: outcomes.map(withShortMessage) };
  }
  fillTensors([], tail);
  return frame;
}

/** What the parent said, checked; throws `ProtocolError`. The header is taken over: tensors get their data in it. */
export function parseParentFrame(header: unknown, tail: Uint8Array): ParentFrame {
  const frame = parseFrame<ParentFrame>(header, parentShapes);
  fillTensors(frame.type === "batch" ? frame.items.map(({ payload }) => payload) : [], tail);
  return frame;
}

/** Every byte of the tail belongs to one tensor, or the frame is none. */
function fillTensors(payloads: readonly (PayloadHeader | null)[], tail: Uint8Array): void {
  const reader = new TailReader(tail);
  for (const payload of payloads) {
    if (payload !== null && !reader.fill(payload)) {
      throw new ProtocolError("a frame whose tail ends within a tensor");
    }
  }
  if (!reader.isAtEnd) throw new ProtocolError("a frame whose tail is longer than its tensors");
}

function withShortMessage(outcome: FrameOutcome): FrameOutcome {
  return outcome.ok ? outcome : { ...outcome, message: cut(outcome.message) };
}

function cut(message: string): string {
  return message.length > messageCharactersMax
    ? `${message.slice(0, messageCharactersMax)}…`
    : message;
}

type Check = (value: unknown) => boolean;
/** A check for each field; the type makes the table complete. */
type Shape<T> = { readonly [Field in keyof T]-?: Check };
type FrameShapes<Frame extends { readonly type: string }> = {
  readonly [Type in Frame["type"]]: Shape<Omit<Extract<Frame, { readonly type: Type }>, "type">>;
};

function parseFrame<Frame extends { readonly type: string }>(
  value: unknown,
  shapes: Readonly<Record<string, Readonly<Record<string, Check>>>>,
): Frame {
  const type = isRecord(value) ? value["type"] : undefined;
  const shape = typeof type === "string" && Object.hasOwn(shapes, type) ? shapes[type] : undefined;
  if (shape === undefined || !isRecord(value)) throw new ProtocolError("a frame of unknown type");
  for (const field in shape) {
    if (shape[field]?.(value[field]) !== true) {
      throw new ProtocolError(`a ${String(type)} frame whose ${field} is wrong`);
    }
  }
  // What nobody asked for is not carried further into rooms that copy whole objects.
  if (fieldsOf(value) !== fieldsOf(shape) + 1) {
    throw new ProtocolError(`a ${String(type)} frame with a field that it has not`);
  }
  return value as unknown as Frame;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fieldsOf(value: object): number {
  return Object.keys(value).length;
}

const isText: Check = (value) => typeof value === "string";
const isAmount: Check = (value) => typeof value === "number" && value >= 0 && value < Infinity;
const isCount: Check = (value) => Number.isSafeInteger(value) && isAmount(value);
const isWorkClass: Check = (value) => value === "realtime" || value === "bulk";
/** A stage is a label of metrics: it is short, and a model has few. */
const isStage: Check = (value) => typeof value === "string" && value.length <= 64;
const stagesMax = 64;

function isListOf(check: Check, lengthMax = Infinity): Check {
  return (value) => Array.isArray(value) && value.length <= lengthMax && value.every(check);
}

/** These fields and no other. */
function hasShape<T>(shape: Shape<T>): Check {
  const checks: Readonly<Record<string, Check>> = shape;
  const fields = Object.keys(checks);
  return (value) => {
    if (!isRecord(value)) return false;
    for (const field of fields) if (checks[field]?.(value[field]) !== true) return false;
    return fieldsOf(value) === fields.length;
  };
}

/** Items and outcomes come by the thousand: their fields are looked at by name, and not by table. */
const isItem: Check = (value) =>
  isRecord(value) &&
  fieldsOf(value) === 2 &&
  isCount(value["itemId"]) &&
  isPayloadHeader(value["payload"]);

const isOutcome: Check = (value) => {
  if (!isRecord(value) || !isCount(value["itemId"])) return false;
  if (value["ok"] === true) return fieldsOf(value) === 3 && isPayloadHeader(value["value"]);
  if (value["ok"] !== false || fieldsOf(value) !== 4) return false;
  return isErrorCode(value["code"]) && isText(value["message"]);
};

const isStageReport = hasShape<StageReport>({
  stage: isStage,
  runs: isCount,
  rows: isCount,
  units: isCount,
  paddedUnits: isCount,
  ms: isAmount,
});

const isIds = isListOf(isCount);

const childShapes: FrameShapes<ChildFrame> = {
  hello: { version: isCount, pid: isCount },
  ready: { loads: isCount, memoryBytes: isAmount },
  "load-failed": { code: isErrorCode, message: isText },
  run: {
    stage: isStage,
    rows: isCount,
    width: isCount,
    predictedMs: isAmount,
    begunItemIds: isIds,
    memoryBytes: isAmount,
  },
  items: { outcomes: isListOf(isOutcome) },
  recalled: { itemIds: isIds },
  report: { stages: isListOf(isStageReport, stagesMax), cacheBytes: isAmount },
};

const parentShapes: FrameShapes<ParentFrame> = {
  load: { version: isCount, modelDir: isText, threads: isCount, rowsMax: isCount },
  batch: { batchId: isCount, class: isWorkClass, items: isListOf(isItem) },
  cancel: { itemIds: isIds },
  recall: { itemIds: isIds },
  stop: {},
};
