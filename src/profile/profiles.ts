/**
 * READ FIRST. Profiles of a running server: one at a time, of the server's own thread or of a pipeline's process.
 *
 *   profiles.ts        whose, for how long, and who may not            speedscope.ts, cpuprofile.ts, flame.ts   files of what was seen
 *   cpu-sampler.ts     V8's profiler, on the thread that is watched    summary.ts                               what a reader wants first
 *   call-tree.ts       who called whom; source-places.ts: where        run-events.ts, operators.ts              inside of the runtime's runs
 */
import {
  MillraceError,
  type ProfiledStage,
  type ProfileResponse,
  profileSecondsMax,
  type SampledProfile,
  type StageTime,
} from "millrace-client/wire";
import { aborted } from "../work/aborted.js";
import { within } from "../work/within.js";

/** The name of the server's own thread. */
export const frontName = "front";

/** From the end of a profile to its answer: a run of a model may be under way, and is not cut. */
const usualAnswerMsMax = 65_000;

export interface ProfilesParts {
  /** As `Pool.profile`; null where there is no such pipeline. */
  readonly ofPipeline: (pipelineId: string, asked: AskedSampling) => Promise<SampledProfile> | null;
  readonly pipelineIds: () => readonly string[];
  /** Sums since the start. */
  readonly stages: () => readonly StageTime[];
  readonly isDraining: () => boolean;
  /** Other servers have pipelines, too, which are asked for there. */
  readonly hasOthers: () => boolean;
  /** From the end of a profile to its answer. Default: 65,000. */
  readonly answerMsMax?: number;
}

export interface AskedSampling {
  /** What the runtime does in its runs, too. */
  readonly operators: boolean;
  readonly until: AbortSignal;
}

export interface AskedProfile {
  /** `front`, or a pipeline. */
  readonly of: string;
  readonly ms: number;
  readonly operators: boolean;
  /** By which its caller ends it, and no other one. */
  readonly id?: string;
}

interface Taken {
  readonly id: string | undefined;
  readonly end: AbortController;
}

export class Profiles implements Disposable {
  readonly #parts: ProfilesParts;
  #taken: Taken | null = null;

  constructor(parts: ProfilesParts) {
    this.#parts = parts;
  }

  /**
   * Takes so long, or until `end` or the signal. The signal's abort leaves nothing behind and rejects with `cancelled`.
   * @throws MillraceError `queue_full`: one is taken already; `bad_request`: there is no such pipeline, or `front` runs no operators; `not_ready`: it is not up;
   * `worker_lost`: it ended meanwhile; `draining`
   */
  async take(
    { of, ms, operators, id }: AskedProfile,
    departed: AbortSignal,
  ): Promise<ProfileResponse> {
    if (this.#parts.isDraining()) throw new MillraceError("draining", "the server is stopping");
    if (of === frontName && operators) {
      const message = "the server's own thread runs no model: name a pipeline with `of`";
      throw new MillraceError("bad_request", message, { param: "operators" });
    }
    if (this.#taken !== null) {
      const message = `a profile is taken already: try again in ${profileSecondsMax} seconds at most, or end it with DELETE /v1/profile`;
      throw new MillraceError("queue_full", message);
    }
    const end = new AbortController();
    this.#taken = { id, end };
    const timer = setTimeout(() => end.abort(), ms);
    const onDeparted = (): void => end.abort();
    departed.addEventListener("abort", onDeparted, { once: true });
    try {
      const before = this.#parts.stages();
      const sampled = await this.#sampled(of, { operators, until: end.signal });
      if (departed.aborted) throw new MillraceError("cancelled", "nobody waits for the profile");
      const stages = stagesBetween(before, this.#parts.stages());
      return { of, askedMs: ms, ...sampled, stages };
    } finally {
      clearTimeout(timer);
      departed.removeEventListener("abort", onDeparted);
      this.#taken = null;
    }
  }

  /** The one of this id, or without it whichever is taken: whoever waits for it gets what was seen so far. False: there is none. */
  end(id?: string): boolean {
    const taken = this.#taken;
    if (taken === null || (id !== undefined && id !== taken.id)) return false;
    taken.end.abort();
    return true;
  }

  [Symbol.dispose](): void {
    this.end();
  }

  async #sampled(of: string, asked: AskedSampling): Promise<SampledProfile> {
    if (of === frontName) return await ownProfile(asked.until);
    const { ofPipeline, answerMsMax = usualAnswerMsMax } = this.#parts;
    const profile = ofPipeline(of, asked);
    if (profile !== null) return await answered(profile, asked.until, answerMsMax);
    const names = [frontName, ...this.#parts.pipelineIds()].join(", ");
    const elsewhere = this.#parts.hasOthers()
      ? " Pipelines of other servers are asked for there: GET /v1/nodes says who they are."
      : "";
    const message = `There is no pipeline ${JSON.stringify(of.slice(0, 64))}; there are: ${names}.${elsewhere}`;
    throw new MillraceError("bad_request", message, { param: "of" });
  }
}

async function ownProfile(until: AbortSignal): Promise<SampledProfile> {
  // A server that nobody looks at does not load it.
  const { CpuSampler } = await import("./cpu-sampler.js");
  const sampler = new CpuSampler();
  await aborted(until);
  return await sampler.stop();
}

async function answered(
  profile: Promise<SampledProfile>,
  until: AbortSignal,
  answerMsMax: number,
): Promise<SampledProfile> {
  // Its end may be what it answers to, and it may answer without one.
  await Promise.race([profile, aborted(until)]);
  if (await within(answerMsMax, profile)) return await profile;
  const message = `the pipeline gave no profile within ${answerMsMax} ms of its end`;
  throw new MillraceError("worker_lost", message);
}

function stagesBetween(
  before: readonly StageTime[],
  after: readonly StageTime[],
): readonly ProfiledStage[] {
  const keyOf = ({ model, stage }: StageTime): string => JSON.stringify([model, stage]);
  const known = new Map(before.map((each) => [keyOf(each), each]));
  return after.flatMap((each) => {
    const { model, stage } = each;
    const was = known.get(keyOf(each)) ?? { runs: 0, rows: 0, ms: 0 };
    const runs = each.runs - was.runs;
    return runs > 0
      ? [{ model, stage, runs, rows: each.rows - was.rows, ms: each.ms - was.ms }]
      : [];
  });
}
