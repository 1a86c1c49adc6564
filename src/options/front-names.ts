/** Which protocols are spoken, and who gets a path that two of them want: `fronts`. */
import { didYouMean } from "../near-miss.js";

/** Every protocol that can be spoken, in the order in which they want a path where the option says `all`. */
export const frontNames = [
  "native",
  "page",
  "inference-v2",
  "streams",
  "openai",
  "deepl",
  "bert-as-service",
  "tei",
  "huggingface",
  "ectransformer",
] as const;

export type FrontName = (typeof frontNames)[number];

type Chosen = { readonly names: readonly FrontName[] } | { readonly problem: string };

/**
 * In the order in which they stand in the option. Millrace's own is always among them, for its health and its metrics:
 * where it is not named it is the last.
 */
export function chosenFronts(option: string): Chosen {
  if (option === "all") return { names: frontNames };
  const chosen: FrontName[] = [];
  for (const name of option.split(",").map((each) => each.trim())) {
    const known = frontNames.find((each) => each === name);
    if (known === undefined) {
      const near = didYouMean(name, frontNames);
      const problem = `there is no protocol ${JSON.stringify(name)}${near}; there are: all, ${frontNames.join(", ")}`;
      return { problem };
    }
    if (chosen.includes(known)) return { problem: `${known} is named twice` };
    chosen.push(known);
  }
  return { names: chosen.includes("native") ? chosen : [...chosen, "native"] };
}
