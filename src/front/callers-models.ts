/** The models that a caller may know of: a front tells of no others, and finds no others. */
import type { ModelInfo } from "millrace-client/wire";
import { type Caller, mayUse } from "../work/caller.js";
import type { ServerViews } from "../work/views.js";

export function modelsOf(views: Pick<ServerViews, "models">, caller: Caller): readonly ModelInfo[] {
  return views.models().filter(({ name }) => mayUse(caller, name));
}
