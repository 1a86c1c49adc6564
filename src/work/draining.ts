/** A server that stops takes no new work. */
import { MillraceError } from "millrace-client/wire";
import type { ServerViews } from "./views.js";

/** Before the body is read. @throws MillraceError `draining` */
export function refuseWhileDraining({ isDraining }: Pick<ServerViews, "isDraining">): void {
  if (isDraining) {
    throw new MillraceError("draining", "The server is stopping and takes no new work.");
  }
}
