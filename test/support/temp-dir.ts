import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A fresh folder that is removed when the scope ends: `await using dir = await TempDir.make()`. */
export class TempDir implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** `parent`: default the system's for temporary files. */
  static async make(parent: string = tmpdir()): Promise<TempDir> {
    return new TempDir(await mkdtemp(join(parent, "millrace-test-")));
  }

  file(...names: string[]): string {
    return join(this.path, ...names);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
