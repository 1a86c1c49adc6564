/** Models that options name for protocols whose clients name none, and that nobody serves. */
import type { ModelInfo } from "millrace-client/wire";
import type { Options } from "../options/options.js";
import { flagOf } from "../options/table.js";

const modelOptions = ["teiModel", "bertModel", "ectransModel"] as const;

/** A line each. No more than a warning: its folder may come while the server runs. */
export function absentModels(
  options: Pick<Options, (typeof modelOptions)[number]>,
  models: readonly Pick<ModelInfo, "name">[],
): string[] {
  const served = models.map(({ name }) => name);
  return modelOptions.flatMap((key) => {
    const name = options[key];
    if (name === null || served.includes(name)) return [];
    return `${flagOf(key)}: there is no model ${JSON.stringify(name)}; clients are refused until there is one; there are: ${served.join(", ")}`;
  });
}
