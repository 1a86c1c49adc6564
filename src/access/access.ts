/**
 * READ FIRST of this folder. Who may come in. A listener takes a credential off its wire and asks here who that is; what they
 * may then do is held in one place for every front, between it and `submit` (guarded-submit.ts).
 *
 *   credential ─► callerOf ─► caller ─► front ─► guarded submit ─► submit
 *       │ refused: unauthenticated          │ refused: forbidden, rate_limited, quota_exceeded
 */
import { anyCaller, type Caller } from "../work/caller.js";

export interface Access {
  /** Whether a caller needs a key at all. */
  readonly isOpen: boolean;
  /**
   * Of a key as it came over the wire, whatever the protocol calls it; null: none came.
   *
   * @throws MillraceError `unauthenticated`
   */
  callerOf(credential: string | null): Caller;
}

/** Nobody is asked for a key; whatever clients insist on sending is accepted. */
export const openAccess: Access = { isOpen: true, callerOf: () => anyCaller };
