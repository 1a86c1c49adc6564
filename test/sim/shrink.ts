/** Makes a plan that breaks a rule smaller, as long as it breaks the same rule: what is left is what it takes. */
import type { CallerPlan, InputPlan, PipelinePlan, Plan } from "./plan.js";
import { play, type SimulateOptions } from "./simulate.js";

/** Plans that are tried; each takes a few milliseconds. */
const triesMax = 2_000;

export async function shrink(plan: Plan, options: SimulateOptions = {}): Promise<Plan> {
  const rule = (await play(plan, options)).violation?.rule;
  if (rule === undefined) return plan;
  let smallest = plan;
  let tries = 0;
  for (let goesOn = true; goesOn; ) {
    goesOn = false;
    for (const candidate of smaller(smallest)) {
      tries += 1;
      if (tries > triesMax) return smallest;
      const found = (await play(candidate, options)).violation?.rule;
      if (found !== rule) continue;
      smallest = candidate;
      goesOn = true;
      break;
    }
  }
  return smallest;
}

/** The largest steps first. */
function* smaller(plan: Plan): Generator<Plan> {
  const { callers, pipelines, surroundings } = plan;
  for (const fewer of withoutParts(callers)) yield { ...plan, callers: fewer };
  for (const fewer of withoutParts(pipelines)) yield { ...plan, pipelines: fewer };
  for (const model of plan.models) {
    if (plan.models.length === 1) break;
    const models = plan.models.filter((each) => each !== model);
    yield { ...plan, models, callers: callers.filter((each) => each.model !== model.name) };
  }
  if (plan.stop !== null) yield { ...plan, stop: null };
  if (surroundings.pauses.length > 0)
    yield { ...plan, surroundings: { ...surroundings, pauses: [] } };
  if (surroundings.bytes) yield { ...plan, surroundings: { ...surroundings, bytes: false } };
  if (surroundings.lateMsMax > 0)
    yield { ...plan, surroundings: { ...surroundings, lateMsMax: 0 } };
  for (const [at, pipeline] of pipelines.entries())
    for (const simpler of simplerPipelines(pipeline))
      yield { ...plan, pipelines: pipelines.with(at, simpler) };
  for (const [at, caller] of callers.entries())
    for (const simpler of simplerCallers(caller))
      yield { ...plan, callers: callers.with(at, simpler) };
}

/** Halves, quarters … and at last all but one. */
function* withoutParts<T>(list: readonly T[]): Generator<T[]> {
  for (
    let size = Math.ceil(list.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  )
    for (let from = 0; from < list.length; from += size)
      if (list.length > size) yield [...list.slice(0, from), ...list.slice(from + size)];
}

function* simplerPipelines(pipeline: PipelinePlan): Generator<PipelinePlan> {
  const { lives } = pipeline;
  if (lives.length > 0) {
    yield { ...pipeline, lives: [] };
    yield { ...pipeline, lives: lives.slice(0, -1) };
    yield { ...pipeline, lives: lives.slice(1) };
  }
}

function* simplerCallers(caller: CallerPlan): Generator<CallerPlan> {
  if (caller.leave !== null) yield { ...caller, leave: null };
  if (caller.timeoutMs !== null) yield { ...caller, timeoutMs: null };
  if (caller.prepareMs > 0) yield { ...caller, prepareMs: 0 };
  for (const inputs of withoutParts(caller.inputs)) yield { ...caller, inputs };
  for (const [at, input] of caller.inputs.entries())
    for (const simpler of simplerInputs(input))
      yield { ...caller, inputs: caller.inputs.with(at, simpler) };
}

function* simplerInputs(input: InputPlan): Generator<InputPlan> {
  for (const pieces of withoutParts(input.pieces)) yield { ...input, pieces };
  for (const [at, piece] of input.pieces.entries()) {
    if (piece.poison !== null)
      yield { ...input, pieces: input.pieces.with(at, { ...piece, poison: null }) };
    const half = Math.max(2, Math.floor(piece.width / 2));
    if (half < piece.width)
      yield { ...input, pieces: input.pieces.with(at, { ...piece, width: half, units: half }) };
  }
}
