/** What holds between options, each of which is right by itself, and between them and the machine. */
import { accessContradictions } from "./access-contradictions.js";
import type { PlaceOf } from "./definition.js";
import { chosenFronts } from "./front-names.js";
import { jobsContradictions } from "./jobs-contradictions.js";
import { isOpenAddress } from "./loopback.js";
import { isDedicated, type Machine } from "./machine.js";
import type { Options } from "./options.js";
import { portContradictions } from "./port-contradictions.js";
import { tracingContradictions } from "./tracing-options.js";
import { zmqContradictions } from "./zmq-contradictions.js";

/** Files beside connections: the worker's pipes, model files, the log. */
const otherFiles = 256;

/** What is wrong between options that are each right. */
export function contradictions(options: Options, place: PlaceOf): string[] {
  const problems: string[] = [];
  if (isDedicated(options)) {
    if (options.pipelines > 0) {
      const dedicated = options.realtimePipelines > 0 ? "realtimePipelines" : "bulkPipelines";
      problems.push(
        `${place("pipelines")} and ${place(dedicated)} contradict each other: pipelines are either all shared or all dedicated`,
      );
    }
    if (options.realtimePipelines === 0 || options.bulkPipelines === 0) {
      problems.push(
        `${place("realtimePipelines")} and ${place("bulkPipelines")} come together, each at least 1: a class without a pipeline would wait for ever`,
      );
    }
  } else if (options.pipelines === 0) {
    problems.push(`${place("pipelines")}: at least one pipeline is needed`);
  }
  if (options.requestTimeoutMsDefault > options.requestTimeoutMsMax) {
    problems.push(
      `${place("requestTimeoutMsDefault")} is above ${place("requestTimeoutMsMax")} (${options.requestTimeoutMsMax})`,
    );
  }
  if (options.queuedBytesMax < options.bodyBytesMax) {
    problems.push(
      `${place("queuedBytesMax")} is below ${place("bodyBytesMax")} (${options.bodyBytesMax}): the largest body could never be taken`,
    );
  }
  if (options.bodiesBytesMax < options.bodyBytesMax) {
    problems.push(
      `${place("bodiesBytesMax")} is below ${place("bodyBytesMax")} (${options.bodyBytesMax}): the largest body could never be read`,
    );
  }
  if (options.queuedItemsMax < options.requestInputsMax) {
    problems.push(
      `${place("queuedItemsMax")} is below ${place("requestInputsMax")} (${options.requestInputsMax}): the largest request could never be taken`,
    );
  }
  if (options.role !== "both" && options.nats === null) {
    problems.push(
      `${place("role")} is ${options.role} and there is no ${place("nats")}: it would have nobody to work with`,
    );
  }
  if (options.natsModels !== null && (options.nats === null || options.role === "edge")) {
    const why = options.nats === null ? `there is no ${place("nats")}` : "an edge serves none";
    problems.push(`${place("natsModels")} says what is fetched, and ${why}`);
  }
  if (options.natsCert === null ? options.natsKey !== null : options.natsKey === null) {
    problems.push(`${place("natsCert")} and ${place("natsKey")} come together`);
  }
  if (!/^[A-Za-z0-9_-]+$/.test(options.natsPrefix)) {
    problems.push(`${place("natsPrefix")}: letters, digits, dashes and underscores only`);
  }
  const fronts = chosenFronts(options.fronts);
  if ("problem" in fronts) problems.push(`${place("fronts")}: ${fronts.problem}`);
  return [
    ...problems,
    ...portContradictions(options, place),
    ...accessContradictions(options, place),
    ...zmqContradictions(options, place),
    ...jobsContradictions(options, place),
    ...tracingContradictions(options, place),
  ];
}

/** What is allowed and will hardly be meant on this machine. */
export function warningsOf(options: Options, machine: Machine, place: PlaceOf): string[] {
  const warnings: string[] = [];
  const { connectionsMax, queuedBytesMax, threads } = options;
  const { openFilesMax, memoryBytes, cores } = machine;
  if (openFilesMax !== null && connectionsMax + otherFiles > openFilesMax) {
    warnings.push(
      `${place("connectionsMax")} is ${connectionsMax}, but this process may have ${openFilesMax} files and connections open: raise the limit (ulimit -n), or connections fail before the limit is reached`,
    );
  }
  if (queuedBytesMax > memoryBytes / 2) {
    warnings.push(
      `${place("queuedBytesMax")} is ${queuedBytesMax}, more than half of the memory (${memoryBytes} bytes): a full queue may end the server`,
    );
  }
  const pipelines = options.pipelines + options.realtimePipelines + options.bulkPipelines;
  if (pipelines * threads > cores) {
    warnings.push(
      `${pipelines} × ${threads} threads of pipelines are more than the ${cores} cores: they will wait for each other`,
    );
  }
  const { host, keys, tlsCert } = options;
  if (keys !== null && tlsCert === null && isOpenAddress(host)) {
    warnings.push(
      `${place("host")} is ${host} and there is no ${place("tlsCert")}: whoever reads the network reads the keys; fine where something in front of it speaks TLS`,
    );
  }
  return warnings;
}
