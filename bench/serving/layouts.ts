/** How the pipelines of a server are shared out among the classes, in a few characters: `2`, or `1+1`. */
import { availableParallelism } from "node:os";
import type { ServeFlags } from "../harness/server-tree.js";

export interface Layout {
  readonly name: string;
  readonly pipelines: number;
  /** Every pipeline serves both classes. */
  readonly isShared: boolean;
  readonly flags: ServeFlags;
}

const shared = /^\d+$/;
const apart = /^(?<realtime>\d+)\+(?<bulk>\d+)$/;

/** @throws where it is neither `N` nor `N+N` */
export function readLayout(text: string): Layout {
  if (shared.test(text)) {
    const pipelines = Number(text);
    return { name: `${pipelines} shared`, pipelines, isShared: true, flags: { pipelines } };
  }
  const { realtime, bulk } = apart.exec(text)?.groups ?? {};
  if (realtime === undefined || bulk === undefined)
    throw new Error(`${JSON.stringify(text)} is no layout: 2 or 1+1 is one`);
  return {
    name: `${realtime} realtime + ${bulk} bulk`,
    pipelines: Number(realtime) + Number(bulk),
    isShared: false,
    flags: { "realtime-pipelines": Number(realtime), "bulk-pipelines": Number(bulk) },
  };
}

/** Threads of each pipeline, where nobody says it. */
export function threadsOf({ pipelines }: Layout): number {
  return Math.max(1, Math.floor(availableParallelism() / pipelines));
}
