/** How an item leaves an engine that could not do it. */
import { MillraceError } from "millrace-client/wire";
import type { FrameItem, FrameOutcome } from "../frames/messages.js";

export function failed({ itemId }: Pick<FrameItem, "itemId">, error: unknown): FrameOutcome {
  const code = error instanceof MillraceError ? error.code : "item_failed";
  const message = error instanceof Error ? error.message : String(error);
  return { itemId, ok: false, code, message };
}
