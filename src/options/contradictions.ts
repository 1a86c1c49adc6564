/** What holds between options, each of which is right by itself, and between them and the machine. */

import { isOpenAddress, openWithoutKeys } from "./loopback.js";
import { isDedicated, type Machine } from "./machine.js";
import type { OptionKey, Options } from "./options.js";
import { isOrigins } from "./origins.js";

/** An option as the one who gave it calls it: `--port`, `MILLRACE_PORT`, `port in FILE`. */
export type PlaceOf = (key: OptionKey) => string;

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
  return [...problems, ...accessContradictions(options, place)];
}

function accessContradictions(options: Options, place: PlaceOf): string[] {
  const { host, port, adminHost, adminPort, keys, insecure, tlsCert, tlsKey, corsOrigins } =
    options;
  const problems: string[] = [];
  const isOpen = keys === null && !insecure;
  if (isOpen && isOpenAddress(host)) {
    problems.push(`${place("host")} is ${host}: ${openWithoutKeys}`);
  }
  if (isOpen && adminPort !== null && isOpenAddress(adminHost)) {
    problems.push(`${place("adminHost")} is ${adminHost}: ${openWithoutKeys}`);
  }
  if (adminPort !== null && adminPort !== 0 && adminPort === port) {
    problems.push(`${place("adminPort")} and ${place("port")} are both ${port}`);
  }
  if ((tlsCert === null) !== (tlsKey === null)) {
    problems.push(
      `${place("tlsCert")} and ${place("tlsKey")} come together: a certificate is of no use without its key`,
    );
  }
  if (corsOrigins !== null && !isOrigins(corsOrigins)) {
    problems.push(
      `${place("corsOrigins")}: ${JSON.stringify(corsOrigins)} is neither * nor a list of origins such as https://app.example, without a path and with commas between`,
    );
  }
  return problems;
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
      `${pipelines} pipelines of ${threads} threads are more than the ${cores} cores: they will wait for each other`,
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
