/** Configurations that somebody could have chosen by hand, in a few characters: `2x1`, `1+1x1`, `2x1:rows=128:prefetch=64`. */
import type { ServeFlags } from "../harness/server-tree.js";
import { readLayout } from "../serving/layouts.js";

export interface Fixed {
  readonly name: string;
  readonly flags: ServeFlags;
}

const layoutText = /^(?<pipelines>[\d+]+)x(?<threads>\d+)$/;
const flagOfWord: Readonly<Record<string, string>> = {
  rows: "rows-max",
  prefetch: "prefetch-rows",
};

/** @throws where it is none */
export function readFixed(name: string): Fixed {
  const [layout = "", ...settings] = name.split(":");
  const { pipelines, threads } = layoutText.exec(layout)?.groups ?? {};
  if (pipelines === undefined || threads === undefined) throw noFixed(name);
  const flags: Record<string, string | number | true> = {
    ...readLayout(pipelines).flags,
    threads: Number(threads),
  };
  for (const setting of settings) {
    const [word = "", value = ""] = setting.split("=");
    const flag = flagOfWord[word];
    if (flag === undefined || !/^\d+$/.test(value)) throw noFixed(name);
    flags[flag] = Number(value);
  }
  return { name, flags };
}

function noFixed(name: string): Error {
  return new Error(
    `${JSON.stringify(name)} is no configuration: 2x1, 1+1x1 and 2x1:rows=128:prefetch=64 are some`,
  );
}

/**
 * The cores given to one pipeline, to one each, and as the powers of two between; beside them one pipeline more, twice as many
 * threads, and two that serve a class each.
 */
export function layoutsToTry(cores: number): readonly string[] {
  const even: string[] = [];
  for (let pipelines = 1; pipelines <= cores; pipelines *= 2)
    even.push(`${pipelines}x${Math.floor(cores / pipelines)}`);
  const half = Math.max(1, Math.floor(cores / 2));
  return [...new Set([...even, `${cores}x1`, `${cores + 1}x1`, `${cores}x2`, `${half}+${half}x1`])];
}

/** The same layout with more and with fewer rows, inside and waiting inside. The defaults are 64, or 128 of a large model with beams, and 32. */
export function rowsToTry(layout: string): readonly string[] {
  return [
    "rows=32",
    "rows=64",
    "rows=96",
    "rows=128",
    "rows=128:prefetch=64",
    "prefetch=8",
    "prefetch=64",
  ].map((settings) => `${layout}:${settings}`);
}
