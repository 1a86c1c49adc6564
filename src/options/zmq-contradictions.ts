/** What is wrong between options of protocols over ZeroMQ. */
import type { PlaceOf } from "./definition.js";
import { isLoopback } from "./loopback.js";
import type { Options } from "./options.js";

export function zmqContradictions(options: Options, place: PlaceOf): string[] {
  const { bertPort, bertPortOut, zmqHost, zmqCurveSecretKeyFile, insecure } = options;
  const problems: string[] = [];
  if ((bertPort === null) !== (bertPortOut === null)) {
    const [given, missing] =
      bertPort === null
        ? (["bertPortOut", "bertPort"] as const)
        : (["bertPort", "bertPortOut"] as const);
    problems.push(
      `${place(given)} needs ${place(missing)}: clients send to one and receive from the other`,
    );
  }
  const isHere = zmqHost === "localhost" || isLoopback(zmqHost);
  if (bertPort !== null && !isHere && zmqCurveSecretKeyFile === null && !insecure) {
    problems.push(
      `${place("zmqHost")} is ${zmqHost}, which others than this machine can reach, and nothing is encrypted there: give ${place("zmqCurveSecretKeyFile")}, or ${place("insecure")} where the network is trusted`,
    );
  }
  return problems;
}
