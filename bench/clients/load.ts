/** The load generator as the benchmark sees it: what it is told, what it tells. */
import { writeFile } from "node:fs/promises";
import { startChild } from "../harness/child.js";

export interface LoadSpec {
  readonly url: string;
  readonly path: string;
  /** JSON, a body a line; taken in turns. */
  readonly bodiesFile: string;
  readonly itemsOfBody: number;
  readonly callers: number;
  readonly warmMs: number;
  readonly ms: number;
  /** Looked at meanwhile; null: nothing is. */
  readonly healthPath: string | null;
}

export interface Load {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly failed: number;
  readonly health: {
    readonly count: number;
    readonly p50Ms: number;
    readonly p99Ms: number;
    readonly maxMs: number;
  };
}

export async function generateLoad(spec: LoadSpec): Promise<Load> {
  const child = startChild(new URL("http-load.js", import.meta.url), [JSON.stringify(spec)]);
  const load = JSON.parse(await child.output()) as Load;
  if (load.failed > 0) throw new Error(`${load.failed} requests to ${spec.url}${spec.path} failed`);
  return load;
}

/** Of callers who send one sentence each, and the next one when they have its translation. */
export async function translateInTurn(
  of: Pick<LoadSpec, "url" | "bodiesFile" | "callers" | "ms">,
): Promise<Load> {
  const asked = { path: "/v1/translate", itemsOfBody: 1, warmMs: 0, healthPath: null };
  return await generateLoad({ ...asked, ...of });
}

export async function writeBodies(path: string, bodies: readonly object[]): Promise<string> {
  await writeFile(path, bodies.map((body) => `${JSON.stringify(body)}\n`).join(""));
  return path;
}
