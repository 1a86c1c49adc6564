/**
 * Who hears what. `P` is the deployment's prefix; a node is known by its instance, which is made anew at each start: what was sent to one
 * that ended reaches nobody, and NATS says so at once.
 *
 *   P.nodes                      every node says what it has, each second and at each change       (node-entry.ts)
 *   P.node.<instance>            to a node: requests, credits, beats, that a caller left          (conversation.ts)
 *   P.info.<instance>            asked for the descriptions of a node's models                    (request and reply)
 *   P.back.<instance>.<number>   to whoever asks: outcomes of its request of that number; `beat-<instance>`: beats of that node
 */
import { randomBytes } from "node:crypto";

export function makeInstance(): string {
  return randomBytes(9).toString("base64url");
}

const instancePattern = /^[A-Za-z0-9_-]{12}$/;

export function isInstance(value: unknown): value is string {
  return typeof value === "string" && instancePattern.test(value);
}

export interface Subjects {
  readonly nodes: string;
  node(instance: string): string;
  info(instance: string): string;
  /** All that is for whoever asks. */
  backs(instance: string): string;
  back(instance: string, number: number): string;
  backBeat(instance: string, node: string): string;
}

export function subjectsOf(prefix: string): Subjects {
  return {
    nodes: `${prefix}.nodes`,
    node: (instance) => `${prefix}.node.${instance}`,
    info: (instance) => `${prefix}.info.${instance}`,
    backs: (instance) => `${prefix}.back.${instance}.*`,
    back: (instance, number) => `${prefix}.back.${instance}.${number}`,
    backBeat: (instance, node) => `${prefix}.back.${instance}.beat-${node}`,
  };
}

export interface BackSubject {
  readonly instance: string;
  /** Of the request; null: a beat. */
  readonly number: number | null;
  /** Whose beat; null: of a request. */
  readonly node: string | null;
}

/** Null where it is none: a stranger may say anything. */
export function readBack(prefix: string, subject: string): BackSubject | null {
  const head = `${prefix}.back.`;
  if (!subject.startsWith(head)) return null;
  const [instance, last, ...more] = subject.slice(head.length).split(".");
  if (!isInstance(instance) || last === undefined || more.length > 0) return null;
  if (/^\d{1,15}$/.test(last)) return { instance, number: Number(last), node: null };
  const node = last.startsWith("beat-") ? last.slice("beat-".length) : null;
  return isInstance(node) ? { instance, number: null, node } : null;
}
