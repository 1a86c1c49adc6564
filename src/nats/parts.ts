/**
 * What travels in one message of NATS. A message of ours is a JSON head and a binary tail; one that is larger than NATS takes goes in
 * parts, in order, and each says enough to be checked before memory is taken:
 *
 *   ┌──────┬─────────┬──────┬──────────┬─────────────┬────────────┬────────┬─────────────────────────┐
 *   │ kind │ version │ zero │ sequence │ total bytes │ head bytes │ offset │ bytes of head and tail  │
 *   │ u8   │ u8      │ u16  │ u32      │ u32         │ u32        │ u32    │ from that offset on     │
 *   └──────┴─────────┴──────┴──────────┴─────────────┴────────────┴────────┴─────────────────────────┘
 *
 * `sequence` counts the parts of one conversation in one direction: NATS gives no promise that none is lost, and a gap is one.
 */
export const partsVersion: number = 1;
const prefixBytes: number = 20;

const kinds = { part: 1, credit: 2, beat: 3, leave: 4 } as const;

export type WirePart =
  /** Of a message. */
  | {
      readonly kind: "part";
      readonly sequence: number;
      readonly totalBytes: number;
      readonly headBytes: number;
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  /** So many bytes more may be sent. */
  | { readonly kind: "credit"; readonly bytes: number }
  /** Who lives, and what it has open: JSON. */
  | { readonly kind: "beat"; readonly json: Uint8Array }
  /** Whoever asked does not wait any more. */
  | { readonly kind: "leave" };

export function encodePart(part: WirePart): Buffer {
  const body = part.kind === "part" ? part.bytes : part.kind === "beat" ? part.json : empty;
  const buffer = Buffer.allocUnsafe(prefixBytes + body.length);
  buffer.fill(0, 0, prefixBytes);
  buffer[0] = kinds[part.kind];
  buffer[1] = partsVersion;
  if (part.kind === "part") {
    buffer.writeUInt32LE(part.sequence, 4);
    buffer.writeUInt32LE(part.totalBytes, 8);
    buffer.writeUInt32LE(part.headBytes, 12);
    buffer.writeUInt32LE(part.offset, 16);
  } else if (part.kind === "credit") buffer.writeUInt32LE(part.bytes, 8);
  buffer.set(body, prefixBytes);
  return buffer;
}

const empty = new Uint8Array(0);

/** Null where it is none that we know. */
export function readPart(raw: Uint8Array): WirePart | null {
  if (raw.length < prefixBytes || raw[1] !== partsVersion) return null;
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const bytes = raw.subarray(prefixBytes);
  const [kind = 0] = raw;
  switch (kind) {
    case kinds.part: {
      const sequence = view.getUint32(4, true);
      const totalBytes = view.getUint32(8, true);
      const headBytes = view.getUint32(12, true);
      const offset = view.getUint32(16, true);
      if (headBytes === 0 || headBytes > totalBytes || bytes.length === 0) return null;
      if (offset + bytes.length > totalBytes) return null;
      return { kind: "part", sequence, totalBytes, headBytes, offset, bytes };
    }
    case kinds.credit:
      return { kind: "credit", bytes: view.getUint32(8, true) };
    case kinds.beat:
      return { kind: "beat", json: bytes };
    case kinds.leave:
      return { kind: "leave" };
    default:
      return null;
  }
}
