/** The ways out of the engine: an item's outcome, good or bad. */
import { MillraceError } from "millrace-client/wire";
import type { FrameOutcome } from "../../frames/messages.js";
import { hypothesesPayload } from "../../work/generation.js";
import type { ActiveItem } from "./active-item.js";

/** The search has ended. */
export function finished({ itemId, search }: ActiveItem): FrameOutcome {
  return { itemId, ok: true, value: hypothesesPayload(search.results()) };
}

export function failed({ itemId }: Pick<ActiveItem, "itemId">, error: unknown): FrameOutcome {
  const code = error instanceof MillraceError ? error.code : "item_failed";
  const message = error instanceof Error ? error.message : String(error);
  return { itemId, ok: false, code, message };
}
