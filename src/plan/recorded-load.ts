/** What a recording says, made ready to be replayed: the calls in the order of their arrival, what runs take, and what callers really saw. */
import type {
  RecordedModel,
  RecordedRefusal,
  RecordedRequest,
  RecordedRuns,
  RecordHead,
  RecordLine,
} from "millrace-client/wire";
import { callFiguresOf, type FiguresByClass } from "./figures.js";

export interface RecordedLoad {
  readonly head: RecordHead;
  /** Sorted by their arrival. */
  readonly calls: readonly RecordedCall[];
  readonly runs: readonly RecordedRuns[];
  /** From the head to the last line. */
  readonly lengthMs: number;
  readonly actual: ActualFigures;
  /** What is to be said of the recording beside its figures. */
  readonly gaps: RecordingGaps;
  /** Those that were asked for. */
  readonly models: readonly RecordedModel[];
  /** Of these, models of which nothing was run, then or before. */
  readonly unmeasured: readonly string[];
  /** The file ends before the recording did. */
  readonly isCut: boolean;
}

export interface RecordedCall extends Omit<RecordedRequest, "type"> {
  /** When it had all its outcomes; null: it had not, when the recording ended. */
  readonly endMs: number | null;
  /** It was refused, and its items are those of another one like it. */
  readonly isGuessed: boolean;
}

export interface ActualFigures {
  readonly classes: FiguresByClass;
  readonly refused: Readonly<Record<string, number>>;
}

export interface RecordingGaps {
  /** Requests that were there before it began. */
  readonly openBefore: number;
  readonly linesLeftOut: number;
  readonly pipelinesLost: number;
  /** Refused for what they were, whoever would have served them. */
  readonly badRequests: number;
  /** Refused for want of room, and replayed as others like them. */
  readonly guessed: number;
  /** Of models that came after it had begun. */
  readonly unknownModels: number;
}

/** Refusals that another configuration may not make. */
const refusedForRoom: ReadonlySet<string> = new Set(["queue_full", "deadline_too_soon"]);

export function recordedLoad(
  head: RecordHead,
  { lines, isCut }: { readonly lines: readonly RecordLine[]; readonly isCut: boolean },
): RecordedLoad {
  const requests: RecordedRequest[] = [];
  const refusals: RecordedRefusal[] = [];
  const runs: RecordedRuns[] = [];
  const ends = new Map<number, { readonly atMs: number; readonly code: string | null }>();
  let [lengthMs, linesLeftOut, pipelinesLost] = [0, 0, 0];
  for (const line of lines) {
    if ("atMs" in line) lengthMs = Math.max(lengthMs, line.atMs);
    if (line.type === "request") requests.push(line);
    else if (line.type === "refused") refusals.push(line);
    else if (line.type === "runs") runs.push(line);
    else if (line.type === "end") ends.set(line.id, line);
    else if (line.type === "left-out") linesLeftOut += line.lines;
    else if (line.type === "down") pipelinesLost += 1;
  }
  const known = new Set(head.models.map(({ model }) => model));
  const ofKnown = requests.filter(({ model }) => known.has(model));
  const forRoom = refusals.filter(({ code }) => refusedForRoom.has(code));
  const calls = ofKnown.map((request): RecordedCall => {
    return { ...request, endMs: ends.get(request.id)?.atMs ?? null, isGuessed: false };
  });
  const guessed = guessedCalls(
    forRoom.filter(({ model }) => model === null || known.has(model)),
    calls,
  );
  const gaps = {
    openBefore: head.openRequests,
    linesLeftOut,
    pipelinesLost,
    badRequests: refusals.length - forRoom.length,
    guessed: guessed.length,
    unknownModels: requests.length - ofKnown.length,
  };
  const asked = new Set(calls.map(({ model }) => model));
  const models = head.models.filter(({ model }) => asked.has(model));
  const ran = new Set(runs.map(({ model }) => model));
  const unmeasured = models.filter(
    ({ model, learned }) => !ran.has(model) && Object.keys(learned).length === 0,
  );
  return {
    head,
    models,
    unmeasured: unmeasured.map(({ model }) => model),
    isCut,
    calls: [...calls, ...guessed].toSorted((a, b) => a.atMs - b.atMs),
    runs,
    lengthMs,
    actual: actualFigures(ofKnown, { ends, refusals: forRoom, lengthMs }),
    gaps,
  };
}

/** What a refused request would have been is not known: each stands for the next one of its model that was let in. */
function guessedCalls(
  refusals: readonly RecordedRefusal[],
  calls: readonly RecordedCall[],
): readonly RecordedCall[] {
  const alike = new Map<string, readonly RecordedCall[]>();
  return refusals.flatMap((refusal, index): readonly RecordedCall[] => {
    const { model, class: workClass, atMs } = refusal;
    const name = JSON.stringify([model, workClass]);
    const like = alike.get(name) ?? calls.filter((call) => isLike(call, refusal));
    alike.set(name, like);
    const call = like[index % Math.max(1, like.length)];
    return call === undefined
      ? []
      : [{ ...call, id: -1 - index, atMs, endMs: null, isGuessed: true }];
  });
}

function isLike(call: RecordedCall, { model, class: workClass }: RecordedRefusal): boolean {
  return (
    (model === null || call.model === model) && (workClass === null || call.class === workClass)
  );
}

function actualFigures(
  requests: readonly RecordedRequest[],
  of: {
    readonly ends: ReadonlyMap<number, { readonly atMs: number; readonly code: string | null }>;
    readonly refusals: readonly RecordedRefusal[];
    readonly lengthMs: number;
  },
): ActualFigures {
  const ended = requests.flatMap((request) => {
    const end = of.ends.get(request.id);
    if (end === undefined) return [];
    const { class: workClass, atMs, items } = request;
    const count = items.reduce((sum, [, , , each]) => sum + each, 0);
    return [{ class: workClass, atMs, endMs: end.atMs, items: count, code: end.code }];
  });
  const refused: Record<string, number> = {};
  for (const { code } of of.refusals) refused[code] = (refused[code] ?? 0) + 1;
  return { classes: callFiguresOf(ended, of.lengthMs), refused };
}
