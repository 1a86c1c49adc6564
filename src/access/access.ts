/**
 * READ FIRST of this folder. Who may come in. A listener takes a credential off its wire and asks here who that is; what they
 * may then do is held in one place for every front, between it and `submit` (guarded-submit.ts).
 *
 *   credential ─► callerOf ─► caller ─► front ─► guarded submit ─► submit
 *       │ refused: unauthenticated          │ refused: forbidden, rate_limited, quota_exceeded
 *
 *   key-file.ts      the file of keys: read, checked, written
 *   keyed-access.ts  the keys of a running server: looks at the file again and again, counts what each key uses
 *   tls-files.ts     certificate and key for every listener that speaks TLS
 *   bind.ts          whether others than this machine could come in unasked
 */
import { anyCaller, type Caller } from "../work/caller.js";

export interface Access {
  /** Whether nobody needs a key. */
  readonly isOpen: boolean;
  /**
   * Of a key as it came over the wire, whatever the protocol calls it; null: none came.
   *
   * @throws MillraceError `unauthenticated`
   */
  callerOf(credential: string | null): Caller;
  /**
   * The caller as the file of keys has it now: a connection may outlive its key.
   *
   * @throws MillraceError `unauthenticated` where the key is gone
   */
  renewed(caller: Caller): Caller;
  /** `stranger`: no reading of the file since the start had its key; `revoked`: one had it, and the last has not. */
  standing(caller: Pick<Caller, "keyId">): "known" | "stranger" | "revoked";
  /**
   * Counts it all or refuses it all, and gives what takes it back: for work that was refused behind this.
   *
   * @throws MillraceError `unauthenticated`, `rate_limited`, `quota_exceeded`
   */
  take(caller: Caller, amount: KeyAmount): () => void;
  /**
   * All lines of a job, before it is made: all of them of the quota, and one of the rate, for lines go at the pace of bulk work and not
   * at the caller's. Null: nobody counts.
   *
   * @throws MillraceError `unauthenticated`, `rate_limited`, `quota_exceeded`
   */
  takeForJob(caller: Caller, amount: KeyAmount): JobTaking | null;
  /** Of a job that was counted here and not run to its end. In a month that is over, or of what others counted: nothing. */
  giveBack(receipt: KeyReceipt, amount: KeyAmount): void;
  /** Whether it was counted here, and not by another server of the deployment. */
  hasCounted(receipt: KeyReceipt): boolean;
  /** Called when keys have changed; gives what ends that. */
  onChange(listener: () => void): () => void;
  /** Null where nobody counts. */
  usageOf(caller: Caller): KeyUsage | null;
  /** Keeps what was counted. Again: the same promise. */
  close(): Promise<void>;
}

export interface KeyAmount {
  readonly inputs: number;
  /** UTF-16 units of the inputs that are texts; told, and limited by nothing. */
  readonly characters: number;
}

export interface JobTaking {
  readonly receipt: KeyReceipt;
  /** All of it, where no job came of it. Again: nothing. */
  readonly giveBack: () => void;
}

/** What was counted of a key, by whom and when: plain data, kept with the job. */
export interface KeyReceipt extends KeyAmount {
  /** The key's name. */
  readonly key: string;
  /** Which file of usage has it. */
  readonly book: string;
  /** `2026-11` */
  readonly month: string;
}

/** Of this calendar month, in UTC. */
export interface KeyUsage extends KeyAmount {
  /** Null: as many as the caller likes. */
  readonly inputsMax: number | null;
  /** When the next month begins, in milliseconds since 1970. */
  readonly endsAtMs: number;
}

/** Nobody is asked for a key; whatever clients insist on sending is accepted. */
export const openAccess: Access = {
  isOpen: true,
  callerOf: () => anyCaller,
  renewed: (caller) => caller,
  standing: () => "known",
  take: () => () => {},
  takeForJob: () => null,
  giveBack: () => {},
  hasCounted: () => false,
  onChange: () => () => {},
  usageOf: () => null,
  close: () => Promise.resolve(),
};
