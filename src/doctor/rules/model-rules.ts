/** Models and the processes that run them: what cannot be loaded, what ends, what is loaded again and again. */
import type { PipelineFault } from "millrace-client/wire";
import type { Draft, Rule } from "../draft.js";
import { type Figures, shareOf } from "../figures.js";
import type { ModelFigures } from "../model-figures.js";
import { bytes, count, ms, oneLine, percent } from "../words.js";

export const modelRules: readonly Rule[] = [
  pipelineRestarts,
  modelLoadFails,
  modelTooLarge,
  itemsFail,
  modelThrashes,
];

function pipelineRestarts({ pipelines, windowMs, items }: Figures): readonly Draft[] {
  const ended = pipelines.filter(({ restarts, state }) => restarts > 0 || state === "backing-off");
  if (ended.length === 0) return [];
  const restarts = ended.reduce((sum, each) => sum + each.restarts, 0);
  const isLoop = restarts >= 2 || ended.some(({ state }) => state === "backing-off");
  const each = ended.map(({ pipelineId, restarts: its, reason, state }) => {
    const why = reason === null ? "" : `: ${oneLine(reason)}`;
    return `${pipelineId} (${state}) was started again ${its === 1 ? "once" : `${its} times`}${why}`;
  });
  const changes = new Set(ended.map(({ fault }) => changeFor(fault)));
  return [
    {
      code: "pipeline-restarts",
      severity: isLoop ? "problem" : "notice",
      title: isLoop
        ? "Worker processes end again and again."
        : "A worker process ended, and was started again.",
      evidence: [
        ...each.slice(0, 4),
        `${restarts} in ${ms(windowMs)}; ${count(items.retried, "item")} had to run again`,
      ],
      change: [...changes].join(" "),
      expect: `${count(ended.length, "pipeline")} of ${pipelines.length} at work all the time, and no item that runs twice.`,
    },
  ];
}

/** Null, and what a newer server may call a fault: nothing is known but its words. */
function changeFor(fault: PipelineFault | null): string {
  switch (fault) {
    case "memory":
      return "Fewer --pipelines or less --model-memory-bytes, or a larger limit of memory: `dmesg` and the container's events have the kernel's word.";
    case "outside":
      return "See who kills them: the kernel for want of memory (`dmesg`, the container's limit), or somebody with kill. Fewer --pipelines or less --model-memory-bytes where it is memory.";
    case "hang":
      return "A run took longer than it may: a larger --run-ms-max, or shorter inputs (--input-characters-max).";
    case "start-timeout":
    case "load-timeout":
      return "A start or a load took longer than it may: a larger --start-timeout-ms, or a faster disk below the models.";
    case "crash":
    case "protocol":
    case null:
    default:
      return "Mend what the reason names; the log has the last lines that the process wrote. `millrace inspect MODEL` checks a model's files.";
  }
}

function failing({ models }: Figures, state: ModelFigures["state"]): readonly ModelFigures[] {
  return models.filter((each) => each.state === state);
}

function modelLoadFails(figures: Figures): readonly Draft[] {
  const retried = figures.models.filter(
    ({ state, loadFailures }) => loadFailures > 0 && state !== "failed" && state !== "too-large",
  );
  return [...failing(figures, "failed"), ...retried].map(
    ({ model, reason, loadFailures, state }): Draft => ({
      code: "model-load-fails",
      severity: "problem",
      title: `The model ${oneLine(model)} cannot be loaded.`,
      evidence: [
        `${state} after ${count(loadFailures, "load")} that failed in a row`,
        oneLine(reason ?? "no reason was told"),
      ],
      change: `Mend what the reason names (\`millrace inspect FOLDER\` checks the files), then POST /v1/models/reload; or take the folder away.`,
      expect: "Requests for it are served, and no longer refused with not_ready.",
    }),
  );
}

function modelTooLarge(figures: Figures): readonly Draft[] {
  const { limits, pipelines } = figures.after;
  return failing(figures, "too-large").map(({ model, reason, bytes: size }): Draft => {
    const wanted = Math.ceil((size * Math.max(1, pipelines.length) * 1.1) / 1024 ** 2) * 1024 ** 2;
    const has =
      limits === undefined
        ? []
        : [
            `models may take ${bytes(limits.modelMemoryBytes)} over ${count(pipelines.length, "pipeline")}`,
          ];
    return {
      code: "model-too-large",
      severity: "problem",
      title: `No pipeline has room for the model ${oneLine(model)}.`,
      evidence: [`it takes ${bytes(size)}`, ...has, ...(reason === null ? [] : [oneLine(reason)])],
      change: `--model-memory-bytes ${wanted}, or fewer --pipelines, or pin less with --preload.`,
      expect: "Requests for it are served, and no longer refused with model_too_large.",
    };
  });
}

const ownFaults = ["worker_lost", "item_poison", "internal"] as const;

function itemsFail({ failures, items }: Figures): readonly Draft[] {
  const own = ownFaults.filter((code) => (failures[code] ?? 0) > 0);
  const ofModel = failures["item_failed"] ?? 0;
  const ended = items.done + items.failed;
  const isMany = ofModel > 0 && ofModel >= 0.01 * ended;
  if (own.length === 0 && !isMany) return [];
  const told = [...own, ...(ofModel > 0 ? ["item_failed" as const] : [])];
  return [
    {
      code: "items-fail",
      severity: own.length > 0 ? "problem" : "notice",
      title: own.length > 0 ? "Items fail in the server." : "The model rejects items.",
      evidence: [
        ...told.map((code) => `${count(failures[code] ?? 0, "item")} with ${code}`),
        `${percent(shareOf(items.failed, ended))} of the items that ended`,
      ],
      change:
        own.length > 0
          ? "Keep the inputs with these codes for a bug report, and do not send them again; the log has each under its request's id."
          : "The error of each item says what the stage said; correct the inputs.",
      expect: "No item fails for what is no fault of its own.",
    },
  ];
}

function modelThrashes({ models, pipelines, windowMs, after }: Figures): readonly Draft[] {
  const moving = models.filter(({ loads, evictions }) => loads > 0 && evictions > 0);
  const evictions = moving.reduce((sum, each) => sum + each.evictions, 0);
  if (evictions < 3) return [];
  const loadMs = moving.reduce((sum, each) => sum + each.loads * each.loadMs, 0);
  const loads = moving.reduce((sum, each) => sum + each.loads, 0);
  const share = Math.min(1, loadMs / (windowMs * Math.max(1, pipelines.length)));
  const all = models.reduce((sum, each) => sum + each.bytes, 0) * Math.max(1, pipelines.length);
  const limit = after.limits?.modelMemoryBytes;
  return [
    {
      code: "model-thrashes",
      severity: "problem",
      title: "Models are loaded in each other's place again and again.",
      evidence: [
        `${moving
          .map(({ model }) => oneLine(model))
          .slice(0, 4)
          .join(", ")}: ${loads} loads and ${evictions} evictions in ${ms(windowMs)}`,
        `loading took ${percent(share)} of the pipelines' time`,
        ...(limit === undefined
          ? []
          : [
              `models may take ${bytes(limit)}; all of them, everywhere, take ${bytes(all)} at most`,
            ]),
      ],
      change: `--model-memory-bytes ${Math.ceil(all / 1024 ** 2) * 1024 ** 2}; else name what must stay (--preload), or serve the others from another node.`,
      expect: `${percent(share)} of the pipelines' time for work, and no request that waits ${ms(loadMs / Math.max(1, loads))} for a load.`,
    },
  ];
}
