/** Errors in gRPC's words: a status, and what it cannot say in the trailing metadata. */
import { Metadata, type StatusObject, status } from "@grpc/grpc-js";
import type { ErrorCode, MillraceError } from "millrace-client/wire";

/** Each code has its status: clients retry by it. What never comes over a wire is a bug there. */
const statuses: Readonly<Record<ErrorCode, number>> = {
  bad_request: status.INVALID_ARGUMENT,
  bad_encoding: status.INVALID_ARGUMENT,
  body_too_large: status.RESOURCE_EXHAUSTED,
  too_many_items: status.INVALID_ARGUMENT,
  input_empty: status.INVALID_ARGUMENT,
  input_too_long: status.INVALID_ARGUMENT,
  tensor_invalid: status.INVALID_ARGUMENT,
  image_invalid: status.INVALID_ARGUMENT,
  token_out_of_range: status.INVALID_ARGUMENT,
  unsupported_media_type: status.INVALID_ARGUMENT,
  headers_too_large: status.INVALID_ARGUMENT,
  not_found: status.UNIMPLEMENTED,
  method_not_allowed: status.UNIMPLEMENTED,
  model_not_found: status.NOT_FOUND,
  unauthenticated: status.UNAUTHENTICATED,
  forbidden: status.PERMISSION_DENIED,
  rate_limited: status.RESOURCE_EXHAUSTED,
  quota_exceeded: status.RESOURCE_EXHAUSTED,
  deployment_mismatch: status.FAILED_PRECONDITION,
  body_timeout: status.DEADLINE_EXCEEDED,
  queue_full: status.RESOURCE_EXHAUSTED,
  too_many_connections: status.UNAVAILABLE,
  not_ready: status.UNAVAILABLE,
  model_too_large: status.FAILED_PRECONDITION,
  draining: status.UNAVAILABLE,
  deadline_exceeded: status.DEADLINE_EXCEEDED,
  cancelled: status.CANCELLED,
  item_failed: status.INVALID_ARGUMENT,
  item_poison: status.INVALID_ARGUMENT,
  worker_lost: status.UNAVAILABLE,
  internal: status.INTERNAL,
  connection_failed: status.INTERNAL,
  response_invalid: status.INTERNAL,
  option_invalid: status.FAILED_PRECONDITION,
  model_unsupported: status.FAILED_PRECONDITION,
  model_folder_invalid: status.FAILED_PRECONDITION,
  weights_invalid: status.FAILED_PRECONDITION,
  tensor_missing: status.FAILED_PRECONDITION,
  tensor_mismatch: status.FAILED_PRECONDITION,
  output_exists: status.INTERNAL,
  output_in_use: status.INTERNAL,
  output_failed: status.INTERNAL,
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
  return { code: statuses[code], details: wellFormed(message), metadata };
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
