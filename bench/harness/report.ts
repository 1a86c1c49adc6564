/** What was measured, as lines, as tables and as JSON: medians with the least and the most, held against targets. */
import { type Machine, spread, spreadText } from "./machine.js";
import type { Plot } from "./plot.js";
import { type Bucket, histogram, type Quantiles, quantiles } from "./quantiles.js";
import { markdownTable } from "./table.js";

export interface Target {
  /** Better is more, or less. */
  readonly better: "more" | "less";
  readonly than: number;
}

interface Meaning {
  readonly unit?: string;
  readonly target?: Target | null;
}

interface Row {
  readonly title: string;
  readonly unit: string;
  readonly values: readonly number[];
  readonly target: Target | null;
}

/** A text, or one value of each round. */
export type Cell = string | readonly number[];

export interface Table {
  readonly title: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

interface Latencies extends Quantiles {
  readonly title: string;
  readonly count: number;
  readonly histogram: readonly Bucket[];
}

export const atLeast = (than: number): Target => ({ better: "more", than });
export const under = (than: number): Target => ({ better: "less", than });

const titleCharacters = 74;

export class Report {
  readonly #rows: Row[] = [];
  readonly #tables: Table[] = [];
  readonly #latencies: Latencies[] = [];
  readonly #plots: Plot[] = [];
  readonly #print: (line: string) => void;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  say(line: string): void {
    this.#print(line);
  }

  /** One value of each round. */
  add(title: string, values: readonly number[], { unit = "", target = null }: Meaning = {}): void {
    this.#rows.push({ title, unit, values, target });
    const shown = `${shownValues(values)}${unit === "" ? "" : ` ${unit}`}`;
    const { median } = spread(values);
    this.#print(`${title.padEnd(titleCharacters)} ${shown}${verdict(median, target)}`);
  }

  /** In Markdown, so that a page can have it as it is. */
  table(table: Table): void {
    this.#tables.push(table);
    const shown = table.rows.map((row) =>
      row.map((cell) => (typeof cell === "string" ? cell : shownValues(cell))),
    );
    this.#print(`\n${table.title}\n`);
    for (const line of markdownTable(table.columns, shown)) this.#print(line);
  }

  /** Of all rounds together, for the JSON: quantiles and the histogram. */
  latencies(title: string, valuesMs: readonly number[]): void {
    const count = valuesMs.length;
    this.#latencies.push({ title, count, ...quantiles(valuesMs), histogram: histogram(valuesMs) });
  }

  /** Drawn from the JSON, where somebody asks for it. */
  plot(plot: Plot): void {
    this.#plots.push(plot);
  }

  /** `facts`: of what the figures are, beside the machine. */
  json(machine: Machine, facts: Readonly<Record<string, unknown>>): string {
    const summed = (values: readonly number[]) => ({ ...spread(values), values });
    const rows = this.#rows.map(({ values, ...row }) => ({ ...row, ...summed(values) }));
    const tables = this.#tables.map(({ rows: cells, ...table }) => ({
      ...table,
      rows: cells.map((row) => row.map((cell) => (typeof cell === "string" ? cell : summed(cell)))),
    }));
    const all = { machine, ...facts, rows, tables, latencies: this.#latencies, plots: this.#plots };
    return `${JSON.stringify(all, null, 2)}\n`;
  }
}

function shownValues(values: readonly number[]): string {
  const { median } = spread(values);
  const digits = Math.abs(median) >= 100 ? 0 : Math.abs(median) >= 10 ? 1 : 2;
  return spreadText(values, digits);
}

function verdict(median: number, target: Target | null): string {
  if (target === null) return "";
  const { better, than } = target;
  const met = better === "more" ? median >= than : median < than;
  return `   target ${better === "more" ? "≥" : "<"} ${Number(than.toFixed(2))}: ${met ? "met" : "MISSED"}`;
}

/** Round by round, so that both were measured on the same machine, whatever else it did. */
export function ratios(above: readonly number[], below: readonly number[]): readonly number[] {
  return above.map((value, at) => value / (below[at] ?? value));
}
