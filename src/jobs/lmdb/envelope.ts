/**
 * How a value lies in a table:
 *
 *   checksum of the rest (4) │ bytes of the head (4) │ head, JSON │ body, as it came
 */
import { crc32 } from "node:zlib";

export interface Envelope {
  readonly head: unknown;
  readonly body: Uint8Array;
}

const fixedBytes = 8;

export function envelopeOf(head: object, body: Uint8Array): Uint8Array {
  const json = Buffer.from(JSON.stringify(head));
  const value = Buffer.allocUnsafeSlow(fixedBytes + json.byteLength + body.byteLength);
  value.writeUInt32LE(json.byteLength, 4);
  value.set(json, fixedBytes);
  value.set(body, fixedBytes + json.byteLength);
  value.writeUInt32LE(crc32(value.subarray(4)), 0);
  return value;
}

/** Null: something changed it below the store. */
export function openEnvelope(value: Uint8Array): Envelope | null {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  const headEnd = bytes.byteLength < fixedBytes ? Infinity : fixedBytes + bytes.readUInt32LE(4);
  if (headEnd > bytes.byteLength || crc32(bytes.subarray(4)) !== bytes.readUInt32LE(0)) return null;
  const head = JSON.parse(bytes.toString("utf8", fixedBytes, headEnd)) as unknown;
  // A copy of its own, for who gets it by transfer.
  return { head, body: new Uint8Array(bytes.subarray(headEnd)) };
}
