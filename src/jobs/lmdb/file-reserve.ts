/**
 * StoreRoom of the disk that is taken before LMDB writes: zeros at the end of its file, which it fills. Where there is none the transaction is
 * not begun. LMDB itself must never meet a full disk: in lmdb 3.5.6 what it writes down about that is longer than the memory for it.
 */
import { closeSync, fstatSync, openSync, writeSync } from "node:fs";

const zeros = new Uint8Array(256 * 1024);

export class FileReserve {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, "r+");
  }

  /** @throws the system's error where the disk is full */
  ensure(endBytes: number): void {
    let { size } = fstatSync(this.#file);
    while (size < endBytes) size += writeSync(this.#file, zeros, 0, zeros.byteLength, size);
  }

  close(): void {
    closeSync(this.#file);
  }
}
