/** A file of keys in a folder of its own, and a server that asks for them. */
import { changeKeyFile, type KeyRecord, newKey } from "#src/access/key-file.js";
import type { Options } from "#src/options/options.js";
import { type EchoServer, startEcho } from "./echo-server.js";
import { TempDir } from "./temp-dir.js";

export class Keys implements AsyncDisposable {
  readonly #dir: TempDir;

  static async make(): Promise<Keys> {
    const keys = new Keys(await TempDir.make());
    await changeKeyFile(keys.path, (none) => none, "create");
    return keys;
  }

  private constructor(dir: TempDir) {
    this.#dir = dir;
  }

  get path(): string {
    return this.#dir.file("keys.json");
  }

  async add(name: string, more: Partial<KeyRecord> = {}): Promise<string> {
    const { key, sha256 } = newKey();
    const record = { name, sha256, createdAt: new Date().toISOString(), ...more };
    await changeKeyFile(this.path, (keys) => [...keys, record], "refuse");
    return key;
  }

  async revoke(name: string): Promise<void> {
    const change = (keys: readonly KeyRecord[]): readonly KeyRecord[] =>
      keys.filter((key) => key.name !== name);
    await changeKeyFile(this.path, change, "refuse");
  }

  serve(code: Partial<Options> = {}): Promise<EchoServer> {
    return startEcho({ keys: this.path, ...code });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dir[Symbol.asyncDispose]();
  }
}
