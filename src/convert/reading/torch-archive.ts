/**
 * The zip that torch.save writes: `NAME/data.pkl`, and one entry `NAME/data/KEY` for each storage. Entries are stored as they
 * are, so any part of one can be read from its place in the file; a compressed one is refused. What an entry claims is
 * compared with the file before anybody reads it.
 */
import { crc32 } from "node:zlib";
import { MillraceError } from "millrace-client/wire";
import yauzl from "yauzl";
import { messageOf } from "../../work/thrown.js";
import { type PickleValue, readPickle } from "./pickle.js";
import type { RandomAccessFile } from "./random-access-file.js";
import { torchWorld } from "./torch-objects.js";

/** Where a storage lies. */
export interface StorageEntry {
  readonly name: string;
  /** Of its first byte in the file. */
  readonly byteOffset: number;
  readonly byteLength: number;
  /** Zero where the writer left it out. */
  readonly crc32: number;
}

/** What a file of PyTorch has, whichever way it was saved. */
export interface TorchArchive {
  /** What was saved: a dict of tensors, if it is a file of weights. */
  readonly root: PickleValue;
  readonly bigEndian: boolean;
  readonly storage: (key: string) => StorageEntry | undefined;
}

/** A storage for each tensor, and models have some ten thousand of them. */
export const entriesMax: number = 200_000;
/** A tensor takes about a hundred and twenty bytes of it. */
export const pickleBytesMax: number = 8 * 1024 * 1024;
const pickleName = "data.pkl";

/** Throws `weights_invalid` where it is not such a zip. */
export async function openArchive(file: RandomAccessFile): Promise<TorchArchive> {
  const entries = await readEntries(file);
  const found = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  const [name] = found;
  const pickle = entries.get(name ?? "");
  if (name === undefined || pickle === undefined || found.length > 1) {
    throw invalid(`the zip has ${found.length} entries NAME/${pickleName}; torch.save writes one`);
  }
  const folder = name.slice(0, -pickleName.length);
  if (entries.has(`${folder}constants.pkl`)) {
    throw invalid("it is a TorchScript program and no file of weights; save the state_dict");
  }
  if (pickle.byteLength > pickleBytesMax) {
    throw invalid(`${name} has ${pickle.byteLength} bytes; the limit is ${pickleBytesMax}`);
  }
  return {
    root: readPickle(await readEntry(file, pickle), torchWorld),
    bigEndian: await isBigEndian(file, entries.get(`${folder}byteorder`)),
    storage: (key) => entries.get(`${folder}data/${key}`),
  };
}

/** All of a small entry; its checksum is compared. */
async function readEntry(file: RandomAccessFile, entry: StorageEntry): Promise<Buffer> {
  const bytes = Buffer.alloc(entry.byteLength);
  if ((await file.read(bytes, entry.byteOffset)) < bytes.byteLength) {
    throw invalid(`the file ends inside ${entry.name}`);
  }
  checkSum(entry, crc32(bytes));
  return bytes;
}

/** Throws `weights_invalid` where the entry's bytes have another checksum than the zip says. */
export function checkSum(entry: StorageEntry, found: number): void {
  if (entry.crc32 === 0 || entry.crc32 === found) return;
  throw invalid(
    `${entry.name} has another checksum than the zip says: it is damaged, or was saved with set_crc32_options(False)`,
  );
}

/** The entries by name; each is stored as it is and lies in the file. */
async function readEntries(file: RandomAccessFile): Promise<Map<string, StorageEntry>> {
  const zip = await attempt(() =>
    yauzl.fromRandomAccessReaderPromise(new HandleReader(file), file.byteLength, {
      autoClose: false,
      lazyEntries: true,
      strictFileNames: true,
    }),
  );
  if (zip.entryCount > entriesMax) {
    throw invalid(`the zip has ${zip.entryCount} entries; the limit is ${entriesMax}`);
  }
  const entries = new Map<string, StorageEntry>();
  const each = zip.eachEntry();
  for (;;) {
    const next = await attempt(() => each.next());
    if (next.done === true) return entries;
    const { fileName: name, compressionMethod, uncompressedSize, ...rest } = next.value;
    if (entries.has(name)) throw invalid(`the zip has ${JSON.stringify(name)} twice`);
    if (compressionMethod !== 0 || next.value.isEncrypted()) {
      const how = compressionMethod === 0 ? "encrypted" : `compressed (${compressionMethod})`;
      throw invalid(`${name} is ${how}; torch.save stores entries as they are`);
    }
    const place = await attempt(
      () => zip.readLocalFileHeaderPromise(next.value, { minimal: true }),
      name,
    );
    const byteOffset = place.fileDataStart;
    entries.set(name, { name, byteOffset, byteLength: uncompressedSize, crc32: rest.crc32 });
  }
}

async function isBigEndian(
  file: RandomAccessFile,
  entry: StorageEntry | undefined,
): Promise<boolean> {
  if (entry === undefined) return false;
  const order = entry.byteLength > 16 ? "" : (await readEntry(file, entry)).toString("latin1");
  if (order === "little" || order === "big") return order === "big";
  throw invalid(`${entry.name} is ${JSON.stringify(order)}; known are little and big`);
}

/** What yauzl asks for, from a file that is open already and stays so. */
class HandleReader extends yauzl.RandomAccessReader {
  readonly #file: RandomAccessFile;

  constructor(file: RandomAccessFile) {
    super();
    this.#file = file;
  }

  override read(...[buffer, offset, length, position, callback]: ReadArguments): void {
    if (!Number.isSafeInteger(position) || position < 0) {
      callback(new Error(`byte ${position} is outside of the file`));
      return;
    }
    this.#file.read(buffer.subarray(offset, offset + length), position).then(
      (done) => callback(done < length ? new Error("unexpected end of the file") : null),
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error))),
    );
  }
}

type ReadArguments = Parameters<yauzl.RandomAccessReader["read"]>;

/** An error of yauzl as one of ours; it says what is wrong, in its own words. */
async function attempt<Result>(work: () => Promise<Result>, name?: string): Promise<Result> {
  try {
    return await work();
  } catch (cause) {
    const where = name === undefined ? "" : `${name}: `;
    const message = messageOf(cause);
    throw invalid(`the zip is damaged: ${where}${message}`, cause);
  }
}

function invalid(message: string, cause?: unknown): MillraceError {
  return new MillraceError("weights_invalid", message, { cause });
}
