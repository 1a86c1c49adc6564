/** What the demo prints when the work is done. */
import type { BatchRecord, StatusResponse } from "millrace-client";
import type { CallerReport } from "./callers.js";
import { type Column, padEnd, padStart, table, wrap } from "./columns.js";

const coloured = process.stdout.isTTY && process.env["NO_COLOR"] === undefined;
const paint = (code: number, text: string): string =>
  coloured ? `\u001b[${code}m${text}\u001b[0m` : text;
const bold = (text: string): string => paint(1, text);
const dim = (text: string): string => paint(90, text);
const green = (text: string): string => paint(32, text);

export function print(line = ""): void {
  process.stdout.write(`${line}\n`);
}

export function printTitle(title: string, remark = ""): void {
  print();
  print(`${bold(title)}${remark === "" ? "" : `  ${dim(remark)}`}`);
}

function printTable(columns: readonly Column[], rows: readonly (readonly string[])[]): void {
  const [head, ...lines] = table(columns, rows);
  print(dim(head ?? ""));
  for (const line of lines) print(line);
}

/** Source left, translation right, and how long the person waited for it. */
export function printTranslations({ answers }: CallerReport, columns: number): void {
  const msWidth = 8;
  // Two cells between the columns, two before the first, two for a full stop that hangs over.
  const rest = Math.min(columns, 140) - msWidth - 8;
  const left = Math.floor(rest * 0.54);
  for (const { source, translation, ms } of answers) {
    const sources = wrap(source, left);
    const translations = wrap(translation, rest - left);
    for (let at = 0; at < Math.max(sources.length, translations.length); at += 1) {
      const time = at === 0 ? dim(padStart(`${ms.toFixed(0)} ms`, msWidth)) : "";
      const right = padEnd(translations[at] ?? "", rest - left + 2);
      const line = `  ${padEnd(sources[at] ?? "", left)}  ${green(right)}  ${time}`;
      print(at < translations.length ? line : `  ${sources[at]}`);
    }
  }
}

export function printCallers(reports: readonly CallerReport[]): void {
  printTable(
    [
      ["caller", "left"],
      ["class", "left"],
      ["sentences", "right"],
      ["requests", "right"],
      ["a request", "right"],
      ["slowest", "right"],
      ["in all", "right"],
      ["a sentence", "right"],
    ],
    reports.map(({ caller, answers, requestMs, allMs }) => {
      const workMs = requestMs.reduce((sum, each) => sum + each, 0);
      return [
        caller.name,
        caller.class,
        String(answers.length),
        String(requestMs.length),
        ms(workMs / requestMs.length),
        ms(Math.max(...requestMs)),
        seconds(allMs),
        ms(workMs / answers.length),
      ];
    }),
  );
}

export function printWaits({ waits }: StatusResponse): void {
  printTable(
    [
      ["class", "left"],
      ["sentences", "right"],
      ["half waited less than", "right"],
      ["99 of 100 less than", "right"],
    ],
    (["realtime", "bulk"] as const).map((name) => {
      const { count, p50Ms, p99Ms } = waits[name];
      return [name, String(count), ms(p50Ms), ms(p99Ms)];
    }),
  );
}

/** By class and reason first; then the ten largest. */
export function printBatches(batches: readonly BatchRecord[]): void {
  const groups = new Map<string, BatchRecord[]>();
  for (const batch of batches) {
    const key = `${batch.class} ${batch.reason}`;
    groups.set(key, [...(groups.get(key) ?? []), batch]);
  }
  printTable(
    [
      ["class", "left"],
      ["left because", "left"],
      ["batches", "right"],
      ["items", "right"],
      ["largest", "right"],
      ["padding", "right"],
    ],
    [...groups.values()].map((group) => [
      group[0]?.class ?? "",
      group[0]?.reason ?? "",
      String(group.length),
      String(sum(group, "items")),
      String(Math.max(...group.map((batch) => batch.items))),
      share(1 - sum(group, "units") / sum(group, "paddedUnits")),
    ]),
  );
  const largest = batches
    .toSorted((a, b) => b.items - a.items)
    .slice(0, 10)
    .toSorted((a, b) => a.batchId - b.batchId);
  print();
  printTable(
    [
      ["batch", "right"],
      ["class", "left"],
      ["left because", "left"],
      ["requests", "right"],
      ["items", "right"],
      ["tokens", "right"],
      ["padding", "right"],
      ["waited", "right"],
    ],
    largest.map((batch) => [
      String(batch.batchId),
      batch.class,
      batch.reason,
      String(batch.requests),
      String(batch.items),
      String(batch.units),
      share(1 - batch.units / batch.paddedUnits),
      ms(batch.waitedMs),
    ]),
  );
}

export function printStages({ stages }: StatusResponse): void {
  const all = sum(stages, "ms");
  printTable(
    [
      ["stage", "left"],
      ["runs", "right"],
      ["rows a run", "right"],
      ["padding", "right"],
      ["a run", "right"],
      ["in all", "right"],
      ["share", "right"],
    ],
    stages.map((one) => [
      one.stage,
      String(one.runs),
      (one.rows / one.runs).toFixed(1),
      one.paddedUnits === 0 ? "–" : share(1 - one.units / one.paddedUnits),
      ms(one.ms / one.runs),
      seconds(one.ms),
      share(one.ms / all),
    ]),
  );
}

function sum<Key extends string>(all: readonly Readonly<Record<Key, number>>[], key: Key): number {
  return all.reduce((total, one) => total + one[key], 0);
}

export function ms(value: number): string {
  return value < 1 ? "< 1 ms" : `${value.toFixed(value < 10 ? 1 : 0)} ms`;
}

export function seconds(valueMs: number): string {
  return `${(valueMs / 1000).toFixed(1)} s`;
}

function share(value: number): string {
  return `${Math.round(100 * value)} %`;
}
