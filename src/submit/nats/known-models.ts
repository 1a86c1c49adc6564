/** Which nodes could serve a request, or why none can: what the local door says of models, said of a deployment. */
import { MillraceError, type WorkClass } from "millrace-client/wire";
import type { ChoosableNode } from "../../nats/choose-node.js";
import type { KnownNode } from "../../nats/heard-node.js";
import type { NodeModel } from "../../nats/node-entry.js";
import { meantUnnamed } from "../../work/model-names.js";

export interface NodeCandidate extends ChoosableNode {
  readonly node: string;
}

export interface Wanted {
  readonly task: string;
  /** Null: the only one. */
  readonly model: string | null;
  /** Those that the caller may use; undefined: all. */
  readonly allowed: readonly string[] | undefined;
}

export interface Known {
  readonly nodes: readonly KnownNode[];
  /** Whether some node had it before. */
  readonly remembers: (model: string) => boolean;
}

interface Served {
  readonly known: KnownNode;
  readonly model: NodeModel;
}

const retryAfterMs = 1_000;

/** The name of the model. @throws MillraceError `not_ready` while nobody is there, `model_not_found` where nobody would */
export function modelFor({ task, model, allowed }: Wanted, known: Known): string {
  const isAllowed = (name: string): boolean => allowed === undefined || allowed.includes(name);
  const serves = (node: KnownNode): boolean =>
    model !== null && node.model(model)?.tasks.includes(task) === true;
  // The usual case, which costs a look at each node and not at each of its models.
  if (model !== null && isAllowed(model) && known.nodes.some(serves)) return model;
  const all = served(known.nodes).filter((each) => isAllowed(each.model.name));
  const isAble = ({ model: { tasks } }: Served): boolean => tasks.includes(task);
  const able = [...new Set(all.filter(isAble).map((each) => each.model.name))];
  const [only, ...others] = meantUnnamed(able.map((name) => ({ name })));
  if (model === null && only !== undefined && others.length === 0) return only.name;
  if (!known.nodes.some(({ entry }) => entry.models.length > 0)) throw nobody();
  const isAway = model !== null && !all.some((each) => each.model.name === model);
  if (isAway && isAllowed(model) && known.remembers(model)) {
    throw notReady(`no node that serves ${model} is there any more; start one, or try again`);
  }
  const message = wrongModel({ task, model, able, all });
  throw new MillraceError("model_not_found", message, { param: "model" });
}

function wrongModel({
  task,
  model,
  able,
  all,
}: {
  readonly task: string;
  readonly model: string | null;
  readonly able: readonly string[];
  readonly all: readonly Served[];
}): string {
  if (able.length === 0) return `no node serves a model for ${task}; see GET /v1/nodes`;
  const found = all.find((each) => each.model.name === model);
  const wrong =
    found === undefined
      ? `there is no model ${model}`
      : `${model} is a model to ${found.model.tasks[0]}`;
  const more = able.length > listedMax ? ` and ${able.length - listedMax} more` : "";
  const names = able.slice(0, listedMax).join(", ");
  return `${model === null ? "name a model" : wrong}; there are: ${names}${more}`;
}

const listedMax = 20;

/** Those that serve it now; that of this server's own instance is local. */
export function candidatesFor(
  {
    task,
    model,
    workClass,
  }: { readonly task: string; readonly model: string; readonly workClass: WorkClass },
  { nodes }: Pick<Known, "nodes">,
  ownInstance: string,
): readonly NodeCandidate[] {
  const candidates = nodes.flatMap((known) => {
    const its = known.model(model);
    const { instance, node, isDraining, pipelines } = known.entry;
    if (its?.ready !== true || !its.tasks.includes(task)) return [];
    if (isDraining) return [];
    const { loadMs, itemMs } = its;
    const waitMs = workClass === "realtime" ? known.waits.realtimeMs : known.waits.bulkMs;
    return [
      { instance, node, isLocal: instance === ownInstance, waitMs, loadMs, itemMs, pipelines },
    ];
  });
  const meanMs = meanItemMs(candidates);
  return candidates.map((each) => (each.itemMs > 0 ? each : { ...each, itemMs: meanMs }));
}

const itemMsUnknown = 20;

/** A node that has run none of it yet is as fast as the others, as far as anybody knows. */
function meanItemMs(candidates: readonly NodeCandidate[]): number {
  const known = candidates.filter(({ itemMs }) => itemMs > 0);
  if (known.length === 0) return itemMsUnknown;
  return known.reduce((sum, { itemMs }) => sum + itemMs, 0) / known.length;
}

/** Why a model that is known has no candidate. */
export function unready(model: string, { nodes }: Pick<Known, "nodes">): MillraceError {
  const reasons = served(nodes).flatMap(({ known: { entry }, model: its }) => {
    if (its.name !== model) return [];
    if (entry.isDraining) return [`${entry.node} is stopping`];
    return its.ready ? [] : [`${entry.node}: ${its.reason ?? its.state}`];
  });
  if (reasons.length === 0)
    return notReady(`no node that serves ${model} is there; start one, or try again`);
  return notReady(`no node can serve ${model} now: ${reasons.slice(0, 5).join("; ")}`);
}

/** Nothing that the caller could mend. */
export function natsAway(reason: string | null): MillraceError {
  const why = reason === null ? "" : ` (${reason})`;
  return notReady(`NATS is away${why}, and with it every node; it is tried again each second`);
}

function nobody(): MillraceError {
  return notReady(
    "no node is there: start a server with --role node, or both, and the same --nats",
  );
}

function notReady(message: string): MillraceError {
  return new MillraceError("not_ready", message, { retryAfterMs });
}

function served(nodes: readonly KnownNode[]): Served[] {
  return nodes.flatMap((known) => known.entry.models.map((model) => ({ known, model })));
}
