/** An item inside the engine, from its admission to its outcome. */
import { apiLimits, type WorkClass } from "millrace-client/wire";
import type { ModelManifest } from "../../models/manifest.js";
import type { GenerationInput } from "../../work/generation.js";
import type { WaitingItem } from "./choosing.js";
import { BeamSearch } from "./search/beam.js";
import { GreedySearch } from "./search/greedy.js";
import type { Search, SearchRules } from "./search/search.js";

export interface ActiveItem extends WaitingItem {
  readonly workClass: WorkClass;
  readonly input: GenerationInput;
  readonly search: Search;
  /** Physical row, within the slot, of each hypothesis. */
  readonly rowOf: Int32Array;
}

export interface ActiveItemStart {
  readonly itemId: number;
  readonly workClass: WorkClass;
  readonly input: GenerationInput;
  readonly rules: SearchRules;
  readonly startTokenId: number;
  readonly receivedAtMs: number;
}

export function startItem(from: ActiveItemStart): ActiveItem {
  const { itemId, workClass, input, rules, startTokenId, receivedAtMs } = from;
  const { settings, tokenIds } = input;
  const start = { settings, rules, startTokenId };
  return {
    itemId,
    workClass,
    input,
    tokens: tokenIds.length,
    rows: settings.beams,
    search: settings.beams === 1 ? new GreedySearch(start) : new BeamSearch(start),
    rowOf: new Int32Array(settings.beams),
    receivedAtMs,
    alone: false,
  };
}

/** A score is at most 512 × the lowest float: it stays finite when it is multiplied by this. */
const penaltyFactorMax = 1e250;

/**
 * Why the engine does not take the item, or null. The server's door checks the same for its callers; here it bounds
 * what one item can take of this process: at most `beamsMax` rows of as many tokens as the model has positions.
 */
export function refusalOf(
  { tokenIds, settings }: GenerationInput,
  { positions }: Pick<ModelManifest["shape"], "positions">,
): string | null {
  const { beams, nBest, lengthPenalty, maxLength } = settings;
  const { beamsMax } = apiLimits;
  if (tokenIds.length > positions) return `${tokenIds.length} tokens, the model takes ${positions}`;
  // Of ids that are too large the encoder itself says so; it would count negative ones from the end.
  const negative = tokenIds.find((id) => id < 0);
  if (negative !== undefined) return `token ${negative} is none`;
  if (beams > beamsMax) return `${beams} beams, at most ${beamsMax} are searched`;
  if (nBest > beams) return `nBest ${nBest} of ${beams} beams`;
  if (maxLength < 2 || maxLength > positions) {
    return `maxLength ${maxLength} is not within 2 and the model's ${positions} positions`;
  }
  if (!(maxLength ** Math.abs(lengthPenalty) < penaltyFactorMax)) {
    return `lengthPenalty ${lengthPenalty} leaves no finite score`;
  }
  return null;
}
