/** The fields of a request that are this task's own: JSON → texts and settings. */
import { embedPoolings } from "millrace-client/wire";
import { heldBytes, readTexts } from "../../prepare/text/read-texts.js";
import { Fields } from "../../work/fields.js";
import type { ReadLimits, TaskRequest } from "../task.js";

export const embedFields = [
  "texts",
  "pooling",
  "layer",
  "normalize",
  "dimensions",
  "encoding",
  "truncate",
] as const;

/** As far as any model goes; a model's own are fewer. */
const layersMax = 10_000;
const dimensionsMax = 1_000_000;

/** @throws MillraceError `bad_request`, `bad_encoding`, `too_many_items`, `input_empty`; `param` says where. */
export function readEmbed(
  body: Readonly<Record<string, unknown>>,
  { requestInputsMax }: ReadLimits,
): TaskRequest<string> {
  const fields = new Fields(body);
  const named = {
    pooling: fields.choice("pooling", embedPoolings),
    layer: fields.integer("layer", [-layersMax, -1]),
    normalize: fields.flag("normalize"),
    dimensions: fields.integer("dimensions", [1, dimensionsMax]),
    encoding: fields.choice("encoding", ["float", "base64"] as const),
    truncate: fields.flag("truncate"),
  };
  const inputs = readTexts(fields.value("texts"), "texts", requestInputsMax);
  const settings: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(named)) {
    if (value !== undefined) settings[name] = value;
  }
  return { inputs, settings, bytes: heldBytes(inputs) };
}
