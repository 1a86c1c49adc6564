/** Errors in gRPC's words: a status, and what it cannot say in the trailing metadata. */
import { Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { type ErrorCode, errorRegistry, type MillraceError } from "millrace-client/wire";

/** By what the code is over HTTP: clients retry by either. */
const byHttpStatus: ReadonlyMap<number | null, number> = new Map([
  [400, status.INVALID_ARGUMENT],
  [401, status.UNAUTHENTICATED],
  [403, status.PERMISSION_DENIED],
  [404, status.NOT_FOUND],
  [405, status.UNIMPLEMENTED],
  [408, status.DEADLINE_EXCEEDED],
  [412, status.FAILED_PRECONDITION],
  [413, status.INVALID_ARGUMENT],
  [415, status.INVALID_ARGUMENT],
  [422, status.INVALID_ARGUMENT],
  [429, status.RESOURCE_EXHAUSTED],
  [431, status.INVALID_ARGUMENT],
  [499, status.CANCELLED],
  [503, status.UNAVAILABLE],
  [504, status.DEADLINE_EXCEEDED],
  [507, status.FAILED_PRECONDITION],
]);

/** Where gRPC has a better word. */
const byCode: Readonly<Partial<Record<ErrorCode, number>>> = {
  body_too_large: status.RESOURCE_EXHAUSTED,
  not_found: status.UNIMPLEMENTED,
  option_invalid: status.FAILED_PRECONDITION,
  model_folder_invalid: status.FAILED_PRECONDITION,
};

/** All headers of a reply together are 16 KiB for many clients, and a letter may be twelve of them. */
const detailsCharactersMax = 1_000;

/** `headers`: who asked and who answered. */
export function grpcStatusOf(
  error: MillraceError,
  headers: Readonly<Record<string, string>>,
): StatusObject {
  const { code, message, param, retryable, retryAfterMs } = error;
  const metadata = metadataOf(headers);
  metadata.set("millrace-code", code);
  if (param !== undefined) metadata.set("millrace-param", ascii(param));
  if (retryable) {
    const waitMs = Math.ceil(retryAfterMs ?? 1_000);
    metadata.set("retry-after", String(Math.max(1, Math.ceil(waitMs / 1_000))));
    // What gRPC's own clients wait where their service configuration lets them retry.
    metadata.set("grpc-retry-pushback-ms", String(waitMs));
  }
  const grpcCode = byCode[code] ?? byHttpStatus.get(errorRegistry[code].status) ?? status.INTERNAL;
  return { code: grpcCode, details: wellFormed(message), metadata };
}

export function metadataOf(headers: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, ascii(value));
  return metadata;
}

/** What metadata may hold: the rest is left out. */
function ascii(text: string): string {
  return text.slice(0, 512).replace(/[^\x20-\x7e]/g, "?");
}

/** The library throws at half of a letter. */
function wellFormed(text: string): string {
  return Buffer.from(text.slice(0, detailsCharactersMax)).toString();
}
