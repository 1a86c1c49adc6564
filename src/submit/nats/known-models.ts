/** Which nodes could serve a request, or why none can: what the local door says of models, said of a deployment. */
import { MillraceError, type WorkClass } from "millrace-client/wire";
import type { ChoosableNode } from "../../nats/choose-node.js";
import type { KnownNode } from "../../nats/directory.js";
import type { NodeModel } from "../../nats/node-entry.js";

export interface NodeCandidate extends ChoosableNode {
  readonly node: string;
  readonly messageBytesMax: number;
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
  const nodes = known.nodes.filter(({ entry }) => entry.models.length > 0);
  const all = served(nodes).filter(
    ({ model: { name } }) => allowed === undefined || allowed.includes(name),
  );
  const able = [
    ...new Set(
      all.filter((each) => each.model.tasks.includes(task)).map((each) => each.model.name),
    ),
  ];
  const [only, ...others] = able;
  if (model === null && only !== undefined && others.length === 0) return only;
  if (model !== null && able.includes(model)) return model;
  if (nodes.length === 0) throw nobody();
  const isAllowed = allowed === undefined || (model !== null && allowed.includes(model));
  if (
    model !== null &&
    isAllowed &&
    !all.some((each) => each.model.name === model) &&
    known.remembers(model)
  ) {
    throw notReady(`no node that serves ${model} is there any more; start one, or try again`);
  }
  throw new MillraceError("model_not_found", wrongModel({ task, model, able, all }), {
    param: "model",
  });
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

/** Those that serve it now. `ownInstance`: this server's, which is no candidate for itself. */
export function candidatesFor(
  {
    task,
    model,
    workClass,
  }: { readonly task: string; readonly model: string; readonly workClass: WorkClass },
  { nodes }: Pick<Known, "nodes">,
  ownInstance: string,
): readonly NodeCandidate[] {
  return served(nodes).flatMap(({ known: { entry, waits }, model: its }) => {
    const { instance, node, isDraining, pipelines, messageBytesMax } = entry;
    if (its.name !== model || !its.ready || isDraining || instance === ownInstance) return [];
    if (!its.tasks.includes(task)) return [];
    const { loadMs, itemMs } = its;
    const waitMs = workClass === "realtime" ? waits.realtimeMs : waits.bulkMs;
    const cost = { waitMs, loadMs, itemMs, pipelines };
    return [{ instance, node, isLocal: false, messageBytesMax, ...cost }];
  });
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
