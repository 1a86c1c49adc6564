/** A server that speaks every protocol of the benchmark, each at a port of its own. */
import type { CreateServerOptions } from "#src/index.js";
import { freePorts, type ServedMillrace, serve } from "./serve.js";

export interface ServedFronts extends ServedMillrace {
  readonly ports: Readonly<Record<string, number>>;
}

const portOptions = ["grpcPort", "bertPort", "bertPortOut"] as const;

export async function serveFronts(options: CreateServerOptions): Promise<ServedFronts> {
  const free = await freePorts(portOptions.length);
  const ports = Object.fromEntries(portOptions.map((name, at) => [name, free[at] ?? 0]));
  // The same vectors as over HTTP: of the last layer, and of the whole text.
  const bert = { bertPoolingLayer: -1, bertMaxSeqLen: 0, bertHttp: true };
  const server = await serve({ ...options, ...ports, ...bert });
  return {
    url: server.url,
    ports,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
