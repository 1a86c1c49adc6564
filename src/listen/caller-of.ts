/** Who a request comes from, by its headers, and whether they may have what they ask for; the same over HTTP and gRPC. */
import type { IncomingHttpHeaders } from "node:http";
import { MillraceError } from "millrace-client/wire";
import type { Access } from "../access/access.js";
import { anyCaller, type Caller, nobody } from "../work/caller.js";

/** The schemes of those protocols that have one; some clients call it a key. */
export function credentialOf({ authorization, ...headers }: IncomingHttpHeaders): string | null {
  const [, credential] = /^(?:Bearer|DeepL-Auth-Key) +(\S+)$/i.exec(authorization ?? "") ?? [];
  const key = headers["x-api-key"] ?? headers["api-key"];
  return credential ?? (typeof key === "string" ? key : null);
}

/**
 * `needed`: as the route or the method says it.
 *
 * @throws MillraceError `unauthenticated`, `forbidden`
 */
export function callerOf(
  credential: string | null,
  needed: "open" | "key" | "admin",
  access: Access,
): Caller {
  if (needed === "open") return openCaller(credential, access);
  const caller = access.callerOf(credential);
  if (needed !== "admin" || caller.isAdmin) return caller;
  throw new MillraceError(
    "forbidden",
    "This is for keys that may administrate: `millrace keys add NAME --admin` makes one.",
  );
}

/** Where no key is asked for: whoever has none hears of no model there. */
function openCaller(credential: string | null, access: Access): Caller {
  if (access.isOpen) return anyCaller;
  try {
    return access.callerOf(credential);
  } catch {
    return nobody;
  }
}
