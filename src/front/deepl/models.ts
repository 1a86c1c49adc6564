/** The models that this protocol can choose from: those that say between which languages, and that the caller may ask. */
import type { Caller } from "../../work/caller.js";
import { meantUnnamed } from "../../work/model-names.js";
import type { ServerViews } from "../../work/views.js";
import { modelsOf } from "../callers-models.js";
import type { LanguageModel } from "./languages.js";

export function translationModels(
  views: Pick<ServerViews, "models">,
  caller: Caller,
): readonly LanguageModel[] {
  return meantUnnamed(modelsOf(views, caller)).flatMap(
    ({ name, ready, task, sourceLanguage, targetLanguage }) => {
      if (task !== "translate") return [];
      if (sourceLanguage === undefined || targetLanguage === undefined) return [];
      return [{ name, ready, sourceLanguage, targetLanguage }];
    },
  );
}
