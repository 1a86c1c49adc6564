/** Nobody opens a server to others by accident: what is not loopback needs keys, or the word that none are wanted. */
import { lookup } from "node:dns/promises";
import { MillraceError } from "millrace-client/wire";
import { isLoopback, openWithoutKeys } from "../options/loopback.js";

export interface BindRule {
  /** `--host`, say. */
  readonly flag: string;
  readonly host: string;
  /** Whether whoever comes is asked for a key, or need not be. */
  readonly mayBeOpen: boolean;
}

/**
 * The address to listen on: a name is looked up once, so that what was checked is what is listened on. Addresses were checked with
 * the options; what a name stands for is known only now.
 *
 * @throws MillraceError `option_invalid`; the error of `lookup`, for instance ENOTFOUND
 */
export async function bindAddress({ flag, host, mayBeOpen }: BindRule): Promise<string> {
  const { address } = await lookup(host);
  if (mayBeOpen || isLoopback(address)) return address;
  const message = `${flag} ${host} is ${address}: ${openWithoutKeys}`;
  throw new MillraceError("option_invalid", message);
}
