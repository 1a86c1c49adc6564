/** What a frame is made of: a check for each field of each frame, and where in it tensors stand. */
import {
  isErrorCode,
  type ProfiledGraph,
  type ProfiledOperator,
  type ProfileNode,
  profiledGraphsMax,
  profiledOperatorsMax,
  profileFrameKinds,
  profileNodesMax,
  profileTextMax,
  type SampledProfile,
} from "millrace-client/wire";
import { isJsonObject } from "../work/payload.js";
import type { ChildFrame, FrameOutcome, ParentFrame, RunsOfSize, StageReport } from "./messages.js";
import { messageCharactersMax, modelCharactersMax, runSizesMax, stagesMax } from "./messages.js";
import { ProtocolError } from "./protocol-error.js";
import { TailReader } from "./tail.js";

/** What the child said, checked; throws `ProtocolError`. */
export function parseChildFrame(header: unknown, tail: Uint8Array): ChildFrame {
  const frame = parseFrame<ChildFrame>(header, childShapes);
  if (frame.type !== "items") {
    noTail(tail);
    return frame.type === "load-failed" || frame.type === "profile-failed"
      ? { ...frame, message: cut(frame.message) }
      : frame;
  }
  const outcomes = readEntries(frame.outcomes, tail, (entry, reader): FrameOutcome | null => {
    if (isFailure(entry)) return { ...entry, message: cut(entry.message) };
    const taken = reader.take(entry);
    return taken === null ? null : { itemId: taken.itemId, ok: true, value: taken.payload };
  });
  return { type: "items", outcomes };
}

/** What the parent said, checked; throws `ProtocolError`. */
export function parseParentFrame(header: unknown, tail: Uint8Array): ParentFrame {
  const frame = parseFrame<ParentFrame>(header, parentShapes);
  if (frame.type !== "batch") {
    noTail(tail);
    return frame;
  }
  return { ...frame, items: readEntries(frame.items, tail, (entry, reader) => reader.take(entry)) };
}

/** Every byte of the tail belongs to one tensor, or the frame is none. */
function readEntries<Entry>(
  entries: readonly unknown[],
  tail: Uint8Array,
  read: (entry: unknown, reader: TailReader) => Entry | null,
): Entry[] {
  const reader = new TailReader(tail);
  const list: Entry[] = [];
  for (const entry of entries) {
    const one = read(entry, reader);
    if (one === null) throw new ProtocolError("a frame with an entry that is wrong");
    list.push(one);
  }
  if (!reader.isAtEnd) throw new ProtocolError("a frame whose tail is longer than its tensors");
  return list;
}

function noTail(tail: Uint8Array): void {
  if (tail.length > 0) throw new ProtocolError("a frame with a tail that belongs to nothing");
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
  const type: unknown = isJsonObject(value) ? value["type"] : undefined;
  const shape = typeof type === "string" && Object.hasOwn(shapes, type) ? shapes[type] : undefined;
  if (shape === undefined || !isJsonObject(value))
    throw new ProtocolError("a frame of unknown type");
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

function fieldsOf(value: object): number {
  return Object.keys(value).length;
}

const isText: Check = (value) => typeof value === "string";
const isAmount: Check = (value) => typeof value === "number" && value >= 0 && value < Infinity;
const isCount: Check = (value) => Number.isSafeInteger(value) && isAmount(value);
const isWorkClass: Check = (value) => value === "realtime" || value === "bulk";
/** A stage is a label of metrics: it is short, and a model has few. */
const isStage: Check = (value) => typeof value === "string" && value.length <= 64;

/** Said again in each announcement, so that a name without an end would be a flood. */
const isModel: Check = (value) => typeof value === "string" && value.length <= modelCharactersMax;

function isListOf(check: Check, lengthMax = Infinity): Check {
  return (value) => Array.isArray(value) && value.length <= lengthMax && value.every(check);
}

/** These fields and no other. */
function hasShape<T>(shape: Shape<T>): Check {
  const checks: Readonly<Record<string, Check>> = shape;
  const fields = Object.keys(checks);
  return (value) => {
    if (!isJsonObject(value)) return false;
    for (const field of fields) if (checks[field]?.(value[field]) !== true) return false;
    return fieldsOf(value) === fields.length;
  };
}

/** Its entries are read one by one, with the tail. */
const isList: Check = (value) => Array.isArray(value);

type Failure = Extract<FrameOutcome, { readonly ok: false }>;
const failureShape = hasShape<Failure>({
  itemId: isCount,
  ok: (value) => value === false,
  code: isErrorCode,
  message: isText,
});

function isFailure(entry: unknown): entry is Failure {
  return failureShape(entry);
}

const isRunsOfSize = hasShape<RunsOfSize>({ rows: isCount, runs: isCount, ms: isAmount });

const isStageReport = hasShape<StageReport>({
  stage: isStage,
  runs: isCount,
  rows: isCount,
  units: isCount,
  paddedUnits: isCount,
  ms: isAmount,
  sizes: isListOf(isRunsOfSize, runSizesMax),
});

const isIds = isListOf(isCount);

const isShortText: Check = (value) => typeof value === "string" && value.length <= profileTextMax;
const isProfileNode = hasShape<ProfileNode>({
  parent: (value) => value === -1 || isCount(value),
  name: isShortText,
  file: isShortText,
  line: isCount,
  kind: (value) => profileFrameKinds.some((kind) => kind === value),
  selfMs: isAmount,
});
const isProfileNodes = isListOf(isProfileNode, profileNodesMax);
const isProfiledGraph = hasShape<ProfiledGraph>({
  graph: isShortText,
  runs: isCount,
  watchedRuns: isCount,
  ms: isAmount,
  watchingMs: isAmount,
  operators: isListOf(
    hasShape<ProfiledOperator>({ operator: isShortText, calls: isAmount, ms: isAmount }),
    profiledOperatorsMax,
  ),
  problem: (value) => value === null || isShortText(value),
});
const isSampledProfile = hasShape<SampledProfile>({
  sampledMs: isAmount,
  everyMs: isAmount,
  stoodStillMs: hasShape<SampledProfile["stoodStillMs"]>({ start: isAmount, stop: isAmount }),
  nodes: (value) => isProfileNodes(value) && isCallersFirst(value as readonly ProfileNode[]),
  graphs: isListOf(isProfiledGraph, profiledGraphsMax),
});

function isCallersFirst(nodes: readonly ProfileNode[]): boolean {
  return nodes.every(({ parent }, at) => (at === 0 ? parent === -1 : parent >= 0 && parent < at));
}

const childShapes: FrameShapes<ChildFrame> = {
  hello: { version: isCount, pid: isCount },
  loading: { model: isModel },
  loaded: {
    model: isModel,
    loads: isCount,
    modelBytes: isAmount,
    memoryBytes: isAmount,
    ms: isAmount,
  },
  "load-failed": { model: isModel, code: isErrorCode, message: isText },
  unloaded: { model: isModel, memoryBytes: isAmount },
  run: {
    model: isModel,
    stage: isStage,
    rows: isCount,
    width: isCount,
    predictedMs: isAmount,
    begunItemIds: isIds,
    memoryBytes: isAmount,
  },
  items: { outcomes: isList },
  recalled: { itemIds: isIds },
  profiled: { profile: isSampledProfile },
  "profile-failed": { message: isText },
  report: { model: isModel, stages: isListOf(isStageReport, stagesMax), cacheBytes: isAmount },
};

const parentShapes: FrameShapes<ParentFrame> = {
  load: {
    model: isModel,
    modelDir: isText,
    version: isText,
    seen: isText,
    threads: isCount,
    rowsMax: isCount,
  },
  unload: { model: isModel },
  batch: { batchId: isCount, model: isModel, class: isWorkClass, items: isList },
  cancel: { itemIds: isIds },
  recall: { itemIds: isIds },
  profile: {
    step: (value) => value === "start" || value === "start-with-operators" || value === "stop",
  },
  stop: {},
};
