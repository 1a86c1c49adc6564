/** Who asks, and what they may: what a key says, or everything where nobody is asked for one. */
import { MillraceError, type WorkClass } from "millrace-client/wire";

export interface Caller {
  /** Name of the key; null: nobody was asked for one. */
  readonly key: string | null;
  /** Which key of that name: one that was made anew is another one. No secret. */
  readonly keyId: string | null;
  /** Whose share the work counts to, whatever the request says; null: the request's own word. */
  readonly tenant: string | null;
  /** Null: all. */
  readonly classes: readonly WorkClass[] | null;
  /** Null: all. */
  readonly models: readonly string[] | null;
  /** May load and unload models, and look into the server. */
  readonly isAdmin: boolean;
  /** Set where a durable job asks in the caller's name: its work is bulk, and counts to this tenant where the key names none. */
  readonly jobTenant?: string;
}

/** Where no keys are asked for. */
export const anyCaller: Caller = {
  key: null,
  keyId: null,
  tenant: null,
  classes: null,
  models: null,
  isAdmin: true,
};

/** Whom nobody has asked yet, or who had no key where none is needed: hears of no model. */
export const nobody: Caller = { ...anyCaller, models: [], classes: [], isAdmin: false };

/** Whether the caller may know of the model, and ask for it. */
export function mayUse({ models }: Pick<Caller, "models">, model: string): boolean {
  return models === null || models.includes(model);
}

/**
 * The same words whether there is such a model or not, and never its name: a protocol may have that from an option.
 *
 * @throws MillraceError `forbidden`
 */
export function refuseOthersModel({ models }: Pick<Caller, "models">, model: string): void {
  if (models === null || models.includes(model)) return;
  const message = `Not that model: this key is for ${models.join(", ")}.`;
  throw new MillraceError("forbidden", message, { param: "model" });
}
