/** A request of many inputs, cut: the fields of some of its inputs are the fields of a request of their own. */
import type { Task } from "./task.js";

type Fields = Readonly<Record<string, unknown>>;
type Cuttable = Pick<Task, "inputFields">;

/** How many inputs they name, entry by entry; 0: they cannot be cut. Nothing of them is checked. */
export function cuttableInputs({ inputFields = [] }: Cuttable, fields: Fields): number {
  const [list, ...others] = inputFields.flatMap((name) => {
    const value = fields[name];
    return Array.isArray(value) ? [value] : [];
  });
  return list === undefined || others.length > 0 ? 0 : list.length;
}

/** Of the inputs at these places, in this order. Of fields that can be cut. */
export function cutInputs(
  { inputFields = [] }: Cuttable,
  fields: Fields,
  places: readonly number[],
): Fields {
  const cut: Record<string, unknown> = { ...fields };
  for (const name of inputFields) {
    const list: unknown = fields[name];
    if (Array.isArray(list)) cut[name] = places.map((place): unknown => list[place]);
  }
  return cut;
}
