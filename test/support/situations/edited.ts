/** What real processes do not do on demand: a window of a real server at work, with the figures that there would be. */
import type { NodeStatus, StatusResponse } from "millrace-client/wire";
import type { FindingCode } from "#src/doctor/finding-table.js";
import type { DoctorWindow } from "#src/doctor/window.js";

export interface Edited {
  readonly name: string;
  readonly expected: FindingCode;
  readonly edit: (real: DoctorWindow) => DoctorWindow;
}

function withAfter(real: DoctorWindow, status: Partial<StatusResponse>): DoctorWindow {
  return { ...real, after: { ...real.after, status: { ...real.after.status, ...status } } };
}

function node(name: string, more: Partial<NodeStatus>): NodeStatus {
  return {
    node: name,
    instance: name,
    role: "node",
    version: "1",
    configHash: "0",
    state: "ready",
    draining: false,
    ageMs: 400,
    pipelines: 2,
    waitMs: { realtime: 4, bulk: 4 },
    sentItems: 0,
    models: [],
    ...more,
  };
}

const GiB = 1024 ** 3;

export const edited: readonly Edited[] = [
  {
    name: "hardly any memory is left",
    expected: "memory-short",
    edit: (real) =>
      withAfter(real, {
        machine: { cores: 2, threads: 1, memoryBytes: 4 * GiB, availableMemoryBytes: 0.1 * GiB },
      }),
  },
  {
    // The engines choose neighbours in length, and run wide items by themselves: here it takes a model of another's making.
    name: "half of what runs is padding",
    expected: "padding-heavy",
    edit: (real) =>
      withAfter(real, {
        pipelines: real.after.status.pipelines.map((pipeline) => ({
          ...pipeline,
          work: (pipeline.work ?? []).map((each) => ({ ...each, paddedUnits: 3 * each.units })),
        })),
      }),
  },
  {
    // Found by its first finding: what was thrown away had been padded.
    name: "callers leave before they have anything",
    expected: "callers-leave",
    edit: (real) => {
      const { requests, items, pipelines, finished } = real.before.status;
      return withAfter(real, {
        requests: { ...requests, cancelled: requests.cancelled + 300 },
        items: { ...items, cancelled: items.cancelled + 9_000 },
        ...(finished && { finished }),
        pipelines: pipelines.map((pipeline) => ({
          ...pipeline,
          work: (pipeline.work ?? []).map((each) => ({
            ...each,
            runs: each.runs + 700,
            units: each.units + 50_000,
            paddedUnits: each.paddedUnits + 90_000,
            ms: each.ms + 4_000,
          })),
        })),
      });
    },
  },
  {
    name: "every input is too long",
    expected: "requests-wrong",
    edit: (real) => {
      const { items } = real.before.status;
      return withAfter(real, {
        items: { ...items, failed: items.failed + 490 },
        failures: { input_too_long: 490 },
      });
    },
  },
  {
    name: "items are poison",
    expected: "items-fail",
    edit: (real) => withAfter(real, { failures: { item_poison: 3 } }),
  },
  {
    name: "callers do not read their replies",
    expected: "readers-slow",
    edit: (real) => {
      const { process: own, limits } = real.after.status;
      const repliesBytes = 0.7 * (limits?.repliesBytesMax ?? 0);
      return withAfter(real, { process: { ...own, repliesBytes } });
    },
  },
  {
    name: "jobs cannot be kept",
    expected: "job-store-failed",
    edit: (real) => {
      const none = { open: 2, runningChunks: 0, bytes: 0, bytesMax: 9 };
      return withAfter(real, { jobs: { state: "failed", reason: "the disk is gone", ...none } });
    },
  },
  {
    name: "a node is silent",
    expected: "node-silent",
    edit: (real) => {
      const nodes = [node("one", {}), node("two", { ageMs: 9_000, sentItems: 4 })];
      return { ...real, after: { ...real.after, nodes: { nats: "connected", nodes } } };
    },
  },
  {
    name: "nothing is up, and nobody knows why",
    expected: "not-ready",
    edit: (real) => withAfter(real, { state: "not-ready" }),
  },
  {
    name: "the server was started anew",
    expected: "server-restarted",
    edit: (real) => {
      const { process: own } = real.before.status;
      const status = { ...real.before.status, process: { ...own, pid: own.pid + 1 } };
      return { ...real, before: { ...real.before, status } };
    },
  },
  {
    name: "a run takes far longer than foreseen",
    expected: "pipeline-slow",
    edit: (real) =>
      withAfter(real, {
        pipelines: real.after.status.pipelines.map((pipeline, at) => {
          const doing = { model: "en-zh", stage: "decode", rows: 4, width: 32 };
          const hung = {
            ...pipeline,
            state: "suspect",
            doing: { ...doing, predictedMs: 9, forMs: 8_000 },
          };
          return at === 0 ? (hung as typeof pipeline) : pipeline;
        }),
      }),
  },
];
