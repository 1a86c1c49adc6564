/** How an item leaves an engine that could not do it. */
import { MillraceError } from "millrace-client/wire";
import type { FrameItem, FrameOutcome } from "../frames/messages.js";
import { messageOf } from "../work/thrown.js";

export function failed({ itemId }: Pick<FrameItem, "itemId">, error: unknown): FrameOutcome {
  const code = error instanceof MillraceError ? error.code : "item_failed";
  const message = messageOf(error);
  return { itemId, ok: false, code, message };
}
