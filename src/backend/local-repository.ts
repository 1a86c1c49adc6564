/** Models that come and go because somebody says so. */
import { setTimeout as delay } from "node:timers/promises";
import { MillraceError } from "millrace-client/wire";
import type { ModelRepository } from "../work/model-repository.js";
import type { ServerViews } from "../work/views.js";
import type { ServedModels } from "./served-models.js";

export interface LocalRepositoryParts {
  readonly served: Pick<ServedModels, "load" | "unload" | "unloaded">;
  readonly views: Pick<ServerViews, "models" | "isDraining">;
  /** How long a load may take. */
  readonly startTimeoutMs: number;
}

const lookAgainMs = 20;
/** Where a load has not begun after this, there is no room for it now. */
const roomMs = 2_000;

export class LocalRepository implements ModelRepository {
  readonly #parts: LocalRepositoryParts;

  constructor(parts: LocalRepositoryParts) {
    this.#parts = parts;
  }

  get unloaded(): readonly string[] {
    return this.#parts.served.unloaded;
  }

  async load(name: string): Promise<void> {
    this.#refuseDraining();
    if (!(await this.#parts.served.load(name))) throw noModel(name);
    const { views, startTimeoutMs } = this.#parts;
    const beganAtMs = performance.now();
    for (;;) {
      const model = views.models().find((each) => each.name === name);
      if (model === undefined) throw noModel(name);
      const { state, reason } = model;
      if (state === "resident") return;
      if (state === "failed" || state === "too-large") {
        throw new MillraceError(
          "model_folder_invalid",
          `${name} cannot be loaded: ${reason ?? ""}`,
        );
      }
      const waitedMs = performance.now() - beganAtMs;
      if (waitedMs > (state === "loading" ? startTimeoutMs : roomMs)) return;
      this.#refuseDraining();
      await delay(lookAgainMs);
    }
  }

  unload(name: string): void {
    this.#refuseDraining();
    if (!this.#parts.served.unload(name)) throw noModel(name);
  }

  #refuseDraining(): void {
    if (this.#parts.views.isDraining) throw new MillraceError("draining", "the server is stopping");
  }
}

function noModel(name: string): MillraceError {
  const shown = JSON.stringify(name.slice(0, 128));
  return new MillraceError("model_not_found", `the folder of models has no ${shown}`);
}
