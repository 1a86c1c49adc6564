/** Two listeners that want one port of one address: the system would say so of one of them, and not of which. */
import type { PlaceOf } from "./definition.js";
import type { Options } from "./options.js";

/** Of each listener: its port, and where it listens. */
export const listenerPorts: readonly {
  readonly port:
    | "port"
    | "grpcPort"
    | "adminPort"
    | "bertPort"
    | "bertPortOut"
    | "zmqPort"
    | "zmqPortOut";
  readonly host: "host" | "adminHost" | "zmqHost";
}[] = [
  { port: "port", host: "host" },
  { port: "grpcPort", host: "host" },
  { port: "adminPort", host: "adminHost" },
  { port: "bertPort", host: "zmqHost" },
  { port: "bertPortOut", host: "zmqHost" },
  { port: "zmqPort", host: "zmqHost" },
  { port: "zmqPortOut", host: "zmqHost" },
];

export function portContradictions(options: Options, place: PlaceOf): string[] {
  const problems: string[] = [];
  for (const [at, later] of listenerPorts.entries()) {
    const port = options[later.port];
    // 0 picks a free one.
    if (port === null || port === 0) continue;
    const taken = listenerPorts
      .slice(0, at)
      .find((each) => options[each.port] === port && meet(options[each.host], options[later.host]));
    if (taken === undefined) continue;
    problems.push(`${place(later.port)} and ${place(taken.port)} are both ${port}`);
  }
  return problems;
}

function meet(one: string, other: string): boolean {
  const everywhere = ["0.0.0.0", "::"];
  return (
    addressOf(one) === addressOf(other) || [one, other].some((each) => everywhere.includes(each))
  );
}

function addressOf(host: string): string {
  return host === "localhost" ? "127.0.0.1" : host;
}
