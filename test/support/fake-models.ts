/** A folder with the bundled model for the parent, and room for what tells the fake runtime how to behave. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundledModels } from "./real-server.js";

export class FakeModels implements Disposable {
  readonly dir: string = mkdtempSync(join(tmpdir(), "millrace-fake-models-"));

  /** `behaviour` is one of fake-runtime.ts; without one every start succeeds at once. */
  constructor(behaviour = "") {
    const [from, to] = [join(bundledModels, "en-zh"), join(this.dir, "en-zh")];
    mkdirSync(to);
    for (const name of readdirSync(from)) symlinkSync(join(from, name), join(to, name));
    writeFileSync(join(to, "behaviour"), behaviour);
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
