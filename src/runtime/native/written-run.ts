/** A run that the runtime writes down, node by node, in a file of its own: its sessions are as they were, and there is no second one. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive } from "../../platform/processes.js";
import { check, type Handle, type Out, ortApi, outOf } from "./ort-api.js";

const folderPrefix = "millrace-run-";
const leftBy = new RegExp(`^${folderPrefix}(\\d{1,10})-`);

export class WrittenRun implements Disposable {
  /** For the run. */
  readonly options: Handle;
  readonly #dir: string;

  /** Throws where there is no room for temporary files. */
  constructor() {
    this.#dir = mkdtempSync(join(tmpdir(), `${folderPrefix}${process.pid}-`));
    const api = ortApi();
    try {
      this.options = outOf((out: Out<Handle>) => api.CreateRunOptions(out));
      check(api.RunOptionsEnableProfiling(this.options, join(this.#dir, "run")));
    } catch (error) {
      this.#removeFiles();
      throw error;
    }
  }

  /** What was written, after the run. Throws where nothing was. */
  read(): string {
    const [name] = readdirSync(this.#dir);
    if (name === undefined) throw new Error("the runtime wrote nothing");
    return readFileSync(join(this.#dir, name), "utf8");
  }

  [Symbol.dispose](): void {
    ortApi().ReleaseRunOptions(this.options);
    this.#removeFiles();
  }

  #removeFiles(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** Of processes that were killed in such a run. What cannot be removed stays. */
export function removeLeftRuns(): void {
  const dir = tmpdir();
  for (const name of namesIn(dir)) {
    const pid = Number(leftBy.exec(name)?.[1]);
    if (!(pid > 0) || isAlive(pid)) continue;
    try {
      rmSync(join(dir, name), { recursive: true, force: true });
    } catch {
      // Somebody else's.
    }
  }
}

function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
