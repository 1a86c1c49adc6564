/** What a frame is made of: a check for each field of each frame, and where in it tensors stand. */
import { isErrorCode } from "millrace-client/wire";
import type { Payload } from "../work/payload.js";
import type { ChildFrame, FrameItem, FrameOutcome, ParentFrame, StageReport } from "./messages.js";
import { ProtocolError } from "./protocol-error.js";
import { isPayloadHeader, type PayloadHeader, TailReader, type TailWriter } from "./tail.js";

/** What the child said, checked; throws `ProtocolError`. */
export function parseChildFrame(header: unknown, tail: Uint8Array): ChildFrame {
  const frame = parseFrame<ChildFrame>(header, childShapes);
  return withTensors(tail, (reader) =>
    frame.type !== "items"
      ? frame
      : {
          ...frame,
          outcomes: frame.outcomes.map((outcome) =>
            outcome.ok ? { ...outcome, value: reader(outcome.value) } : outcome,
          ),
        },
  );
}

/** What the parent said, checked; throws `ProtocolError`. */
export function parseParentFrame(header: unknown, tail: Uint8Array): ParentFrame {
  const frame = parseFrame<ParentFrame>(header, parentShapes);
  return withTensors(tail, (reader) =>
    frame.type !== "batch"
      ? frame
      : {
          ...frame,
          items: frame.items.map((item) => ({ ...item, payload: reader(item.payload) })),
        },
  );
}

/** The frame as its header says it; the data of its tensors goes to the tail. */
export function detachTensors(frame: ParentFrame | ChildFrame, tail: TailWriter): object {
  if (frame.type === "batch") {
    const items = frame.items.map((item) => ({ ...item, payload: tail.add(item.payload) }));
    return { ...frame, items };
  }
  if (frame.type !== "items") return frame;
  const outcomes = frame.outcomes.map((outcome) =>
    outcome.ok ? { ...outcome, value: tail.add(outcome.value) } : outcome,
  );
  return { ...frame, outcomes };
}

/** Every byte of the tail belongs to one tensor, or the frame is none. */
function withTensors<Frame>(
  tail: Uint8Array,
  attach: (reader: (payload: Payload) => Payload) => Frame,
): Frame {
  const reader = new TailReader(tail);
  const frame = attach((payload: PayloadHeader) => {
    const taken = reader.take(payload);
    if (taken === null) throw new ProtocolError("a frame whose tail ends within a tensor");
    return taken;
  });
  if (!reader.isAtEnd) throw new ProtocolError("a frame whose tail is longer than its tensors");
  return frame;
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
  return value as unknown as Frame;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const isText: Check = (value) => typeof value === "string";
const isAmount: Check = (value) => typeof value === "number" && value >= 0 && value < Infinity;
const isCount: Check = (value) => Number.isSafeInteger(value) && isAmount(value);
const isWorkClass: Check = (value) => value === "realtime" || value === "bulk";

function isListOf(check: Check): Check {
  return (value) => Array.isArray(value) && value.every((entry) => check(entry));
}

function hasShape<T>(shape: Shape<T>): Check {
  const entries = Object.entries<Check>(shape);
  return (value) => isRecord(value) && entries.every(([field, check]) => check(value[field]));
}

const isItem = hasShape<FrameItem>({ itemId: isCount, payload: isPayloadHeader });

const isGoodOutcome = hasShape<Extract<FrameOutcome, { readonly ok: true }>>({
  itemId: isCount,
  ok: (value) => value === true,
  value: isPayloadHeader,
});

const isBadOutcome = hasShape<Extract<FrameOutcome, { readonly ok: false }>>({
  itemId: isCount,
  ok: (value) => value === false,
  code: isErrorCode,
  message: isText,
});

const isStageReport = hasShape<StageReport>({
  stage: isText,
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
    stage: isText,
    rows: isCount,
    width: isCount,
    predictedMs: isAmount,
    begunItemIds: isIds,
    memoryBytes: isAmount,
  },
  items: { outcomes: isListOf((value) => isGoodOutcome(value) || isBadOutcome(value)) },
  recalled: { itemIds: isIds },
  report: { stages: isListOf(isStageReport), cacheBytes: isAmount },
};

const parentShapes: FrameShapes<ParentFrame> = {
  load: { version: isCount, modelDir: isText, threads: isCount, rowsMax: isCount },
  batch: { batchId: isCount, class: isWorkClass, items: isListOf(isItem) },
  cancel: { itemIds: isIds },
  recall: { itemIds: isIds },
  stop: {},
};
