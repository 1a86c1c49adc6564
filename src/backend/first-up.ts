/**
 * Waits until the first model can be served; gives up when no pipeline starts, or when each model that was to be loaded has
 * failed to once. Where none is, the first pipeline that is up can load whatever is asked for.
 */
import { MillraceError } from "millrace-client/wire";
import { withResolvers } from "../work/with-resolvers.js";

export interface FirstUpOptions {
  readonly pipelines: number;
  /** Those that are loaded before anybody asks. */
  readonly preloaded: readonly string[];
}

export class FirstUp {
  readonly #outcome = withResolvers();
  readonly #options: FirstUpOptions;
  readonly #pipelines = new Map<string, string>();
  readonly #models = new Map<string, string>();

  constructor(options: FirstUpOptions) {
    this.#options = options;
    // Nobody may be waiting yet when it fails.
    this.promise.catch(() => {});
  }

  get promise(): Promise<void> {
    return this.#outcome.promise;
  }

  /** True: that is all that was waited for. */
  up(): boolean {
    if (this.#options.preloaded.length > 0) return false;
    this.#outcome.resolve();
    return true;
  }

  loaded(): void {
    this.#outcome.resolve();
  }

  pipelineFailed(pipelineId: string, reason: string): void {
    this.#pipelines.set(pipelineId, reason);
    if (this.#pipelines.size < this.#options.pipelines) return;
    this.#fail("no pipeline could start", this.#pipelines);
  }

  /** Versions that come later are nobody's to wait for. */
  loadFailed(model: string, reason: string): void {
    if (!this.#options.preloaded.includes(model)) return;
    this.#models.set(model, reason);
    if (!this.#options.preloaded.every((each) => this.#models.has(each))) return;
    this.#fail("no model could be loaded", this.#models);
  }

  stopped(): void {
    this.#outcome.reject(new MillraceError("draining", "stopped before a pipeline was ready"));
  }

  #fail(what: string, reasons: ReadonlyMap<string, string>): void {
    const list = [...reasons].map(([id, why]) => `\n  ${id}: ${why}`).join("");
    this.#outcome.reject(new MillraceError("not_ready", `${what}${list}`));
  }
}
