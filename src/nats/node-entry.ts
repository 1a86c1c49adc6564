/** What a node says of itself, each second and at each change; read field by field, for it may be of another version. */
import { isJsonObject, type JsonValue } from "../work/payload.js";
import { partsVersion } from "./parts.js";
import { isInstance } from "./subjects.js";

/** How soon a node would take an item, as it reckons itself. */
export interface NodeWaits {
  readonly realtimeMs: number;
  readonly bulkMs: number;
}

export interface NodeModel {
  readonly name: string;
  /** What it is for: its own task, and those that it serves beside it. */
  readonly tasks: readonly string[];
  readonly ready: boolean;
  /** As in `ModelStatus`. */
  readonly state: string;
  readonly reason: string | null;
  /** Until it is resident; 0 where it is. */
  readonly loadMs: number;
  /** Of a pipeline's time, that an item takes. */
  readonly itemMs: number;
  /** Of its description, which is asked for once. */
  readonly infoId: string;
}

export interface NodeEntry {
  readonly instance: string;
  /** As `--node` has it. */
  readonly node: string;
  readonly role: "both" | "edge" | "node";
  readonly version: string;
  readonly environment: string;
  readonly configHash: string;
  /** `ServerState`. */
  readonly state: string;
  /** It takes no more, or it is gone (`left`). */
  readonly isDraining: boolean;
  readonly hasLeft: boolean;
  /** Those that are up. */
  readonly pipelines: number;
  readonly waits: NodeWaits;
  /** Of one request, as it travels. */
  readonly messageBytesMax: number;
  readonly models: readonly NodeModel[];
}

export function encodeEntry(entry: NodeEntry): string {
  return JSON.stringify({ wire: partsVersion, ...entry });
}

/** Null where it is none, or of a version that speaks otherwise. */
export function readEntry(json: string): NodeEntry | null {
  const entry = parse(json);
  if (!isJsonObject(entry) || entry["wire"] !== partsVersion) return null;
  const { instance, node, role, version, environment, configHash, state, waits, models } = entry;
  if (!isInstance(instance) || !isName(node) || !isName(version) || !isName(environment))
    return null;
  const isRole = role === "both" || role === "edge" || role === "node";
  if (!isRole) return null;
  if (!isName(configHash) || !isName(state) || !isJsonObject(waits)) return null;
  const { isDraining, hasLeft, pipelines, messageBytesMax } = entry;
  if (!isAmount(pipelines) || !isAmount(messageBytesMax)) return null;
  if (typeof isDraining !== "boolean" || typeof hasLeft !== "boolean") return null;
  const { realtimeMs, bulkMs } = waits;
  if (!isAmount(realtimeMs) || !isAmount(bulkMs)) return null;
  const all = readModels(models);
  if (all === null) return null;
  const own = { instance, node, role, version, environment, configHash, state } as const;
  const now = { isDraining, hasLeft, pipelines, waits: { realtimeMs, bulkMs }, messageBytesMax };
  return { ...own, ...now, models: all };
}

function readModels(list: JsonValue | undefined): NodeModel[] | null {
  if (!Array.isArray(list)) return null;
  const models: NodeModel[] = [];
  for (const each of list as readonly JsonValue[]) {
    if (!isJsonObject(each)) return null;
    const { name, tasks, ready, state, reason, loadMs, itemMs, infoId } = each;
    if (!isName(name) || !Array.isArray(tasks) || !tasks.every(isName)) return null;
    if (typeof ready !== "boolean" || !isName(state) || !isName(infoId)) return null;
    if (reason !== null && typeof reason !== "string") return null;
    if (!isAmount(loadMs) || !isAmount(itemMs)) return null;
    models.push({ name, tasks, ready, state, reason, loadMs, itemMs, infoId });
  }
  return models;
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return null;
  }
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= 512;
}

function isAmount(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value < Infinity;
}
