/**
 * What torch.save wrote before version 1.6, as many translation repositories still have it: pickles and storages in one run.
 *
 *   ┌───────┬─────────┬────────────┬──────────────┬───────────┬──────────┬─────────┬─────
 *   │ magic │ version │ of the     │ the dict of  │ keys of   │ elements │ the     │  …
 *   │       │         │ machine    │ tensors      │ storages  │ u64      │ first   │
 *   └───────┴─────────┴────────────┴──────────────┴───────────┴──────────┴─────────┴─────
 *
 * Five pickles, then for each key, in the order of the list, how many elements it has, and those: little-endian on
 * every machine. There is no checksum; the storages must fill the file to its last byte.
 */
import { describeValue, isKind, type PickleValue, pickleError, readPickleAt } from "./pickle.js";
import type { RandomAccessFile } from "./random-access-file.js";
import {
  entriesMax,
  pickleBytesMax,
  type StorageEntry,
  type TorchArchive,
} from "./torch-archive.js";
import { TorchStorage, torchWorld } from "./torch-objects.js";

/** The number 0x1950a86a20f9469cfc6c as a pickle of protocol 2. */
export const legacyMagic: Buffer = Buffer.from("80028a0a6cfc9c46f9206aa850192e", "hex");

const formatVersion = 1001;
const countBytes = 8;

/** Throws `weights_invalid` where it is damaged or hostile. */
export async function openLegacy(file: RandomAccessFile): Promise<TorchArchive> {
  const bytes = Buffer.alloc(Math.min(file.byteLength, pickleBytesMax));
  const head = bytes.subarray(0, await file.read(bytes, 0));
  const storages = new Map<string, TorchStorage>();
  const world = {
    ...torchWorld,
    persistent(id: PickleValue): PickleValue {
      const value = torchWorld.persistent(id);
      if (isKind(value, "object") && value.value instanceof TorchStorage) {
        storages.set(value.value.key, value.value);
      }
      return value;
    },
  };
  const version = readPickleAt(head, legacyMagic.length, world);
  if (version.value !== formatVersion) {
    throw pickleError(
      `its format has version ${describeValue(version.value)}; known is ${formatVersion}`,
    );
  }
  const machine = readPickleAt(head, version.end, world);
  const saved = readPickleAt(head, machine.end, world);
  const list = readPickleAt(head, saved.end, world);
  const keys = isKind(list.value, "list") ? list.value.items : null;
  if (keys === null || keys.length > entriesMax) {
    throw pickleError(`it has no list of storages, or one of over ${entriesMax}`);
  }
  const entries = await placesOf(file, { keys, storages, start: list.end });
  return { root: saved.value, bigEndian: false, storage: (key) => entries.get(key) };
}

async function placesOf(
  file: RandomAccessFile,
  found: {
    readonly keys: readonly PickleValue[];
    readonly storages: ReadonlyMap<string, TorchStorage>;
    readonly start: number;
  },
): Promise<Map<string, StorageEntry>> {
  const entries = new Map<string, StorageEntry>();
  const count = Buffer.alloc(countBytes);
  let end = found.start;
  for (const key of found.keys) {
    const storage = typeof key === "string" ? found.storages.get(key) : undefined;
    if (storage === undefined) throw pickleError("it has a storage of which no tensor speaks");
    const name = `storage ${JSON.stringify(storage.key)}`;
    if (entries.has(storage.key)) throw pickleError(`it has ${name} twice`);
    const read = await file.read(count, end);
    const elements = read < countBytes ? 0 : Number(count.readBigUInt64LE());
    const byteLength = elements * storage.elementBytes;
    const byteOffset = end + countBytes;
    if (read < countBytes || byteLength > file.byteLength - byteOffset) {
      throw pickleError(`it ends inside ${name}: it is truncated`);
    }
    entries.set(storage.key, { name, byteOffset, byteLength, crc32: 0 });
    end = byteOffset + byteLength;
  }
  if (end === file.byteLength) return entries;
  throw pickleError(`${file.byteLength - end} bytes follow the last storage`);
}
