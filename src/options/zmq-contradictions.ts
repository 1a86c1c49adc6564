/** What is wrong between options of protocols over ZeroMQ. */
import type { PlaceOf } from "./definition.js";
import { isLoopback } from "./loopback.js";
import type { Options } from "./options.js";

/** Of each protocol over ZeroMQ: where clients send, and where they receive. */
const zmqPorts = [
  ["bertPort", "bertPortOut"],
  ["zmqPort", "zmqPortOut"],
] as const;

export function zmqContradictions(options: Options, place: PlaceOf): string[] {
  const { zmqHost, zmqCurveSecretKeyFile, insecure } = options;
  const problems: string[] = [];
  for (const [port, portOut] of zmqPorts) {
    if ((options[port] === null) === (options[portOut] === null)) continue;
    const [given, missing] = options[port] === null ? [portOut, port] : [port, portOut];
    problems.push(
      `${place(given)} needs ${place(missing)}: clients send to one and receive from the other`,
    );
  }
  const isHere = zmqHost === "localhost" || isLoopback(zmqHost);
  const listens = zmqPorts.some(([port]) => options[port] !== null);
  if (listens && !isHere && zmqCurveSecretKeyFile === null && !insecure) {
    problems.push(
      `${place("zmqHost")} is ${zmqHost}, which others than this machine can reach, and nothing is encrypted there: give ${place("zmqCurveSecretKeyFile")}, or ${place("insecure")} where the network is trusted`,
    );
  }
  return problems;
}
