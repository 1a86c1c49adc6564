/** The items of a request in few words: those of the same cost together, and of too many costs those that are alike. */
import type { RecordedItems } from "millrace-client/wire";
import type { Cost } from "../work/cost.js";
import type { PreparedInput } from "../work/piece.js";

/** Costs of a request that are told apart. */
const costsMax = 256;

interface Group {
  readonly cost: Cost;
  units: number;
  width: number;
  count: number;
}

/** `keyOf`: what stands for a batch key, which may say something of what is in the items. */
export function recordedItems(
  inputs: readonly PreparedInput[],
  keyOf: (batchKey: string) => string,
): readonly RecordedItems[] {
  const groups = new Map<string, Group>();
  for (const input of inputs) {
    if (!input.ok) continue;
    for (const { cost } of input.pieces) {
      const { units, width, rows, batchKey } = cost;
      const name = `${units} ${width} ${rows} ${batchKey}`;
      const group = groups.get(name);
      if (group === undefined) groups.set(name, { cost, units, width, count: 1 });
      else group.count += 1;
    }
  }
  const all = [...groups.values()];
  return (all.length <= costsMax ? all : merged(all)).map(({ cost, units, width, count }) => {
    const { rows, batchKey } = cost;
    const sizes = [units, width, rows, count] as const;
    return batchKey === "" ? sizes : [...sizes, keyOf(batchKey)];
  });
}

/** Neighbours in width become one cost, their mean; of different rows and keys none do. */
function merged(groups: readonly Group[]): readonly Group[] {
  const sorted = groups.toSorted(
    (a, b) =>
      a.cost.batchKey.localeCompare(b.cost.batchKey) ||
      a.cost.rows - b.cost.rows ||
      a.width - b.width,
  );
  const size = Math.ceil(groups.length / costsMax);
  const out: Group[] = [];
  let members = 0;
  for (const group of sorted) {
    const last = out.at(-1);
    const { rows, batchKey } = group.cost;
    const joins = last !== undefined && last.cost.rows === rows && last.cost.batchKey === batchKey;
    if (!joins || members >= size) {
      out.push({ ...group });
      members = 1;
      continue;
    }
    const count = last.count + group.count;
    const meanOf = (a: number, b: number): number =>
      Math.round((a * last.count + b * group.count) / count);
    last.units = meanOf(last.units, group.units);
    last.width = meanOf(last.width, group.width);
    last.count = count;
    members += 1;
  }
  return out;
}
