/** What was measured, as lines and as JSON: medians with the least and the most, held against targets. */
import { spread, spreadText } from "../machine.js";

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

export const atLeast = (than: number): Target => ({ better: "more", than });
export const under = (than: number): Target => ({ better: "less", than });

const titleCharacters = 74;

export class Report {
  readonly #rows: Row[] = [];
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
    const { median } = spread(values);
    const digits = Math.abs(median) >= 100 ? 0 : Math.abs(median) >= 10 ? 1 : 2;
    const shown = `${spreadText(values, digits)}${unit === "" ? "" : ` ${unit}`}`;
    this.#print(`${title.padEnd(titleCharacters)} ${shown}${verdict(median, target)}`);
  }

  json(machine: string): string {
    const rows = this.#rows.map(({ values, ...row }) => ({ ...row, ...spread(values), values }));
    return `${JSON.stringify({ machine, rows }, null, 2)}\n`;
  }
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
