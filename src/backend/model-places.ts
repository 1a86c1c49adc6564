/** Where models come from: the folder of `--models`, what is fetched for `--nats-models`, or both; and when either has changed. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { fingerprintOf, ModelsWatch } from "../models/watch-models.js";
import type { CachedModels, ModelCache } from "../nats/model-cache.js";
import type { BackendParts } from "./backend.js";

/** Where there is a folder of models too, NATS is waited for no longer than this. */
const waitMsMax = 3_000;

export class ModelPlaces {
  /** Null: only what is fetched is served. */
  readonly modelsDir: string | null;
  readonly #everyMs: number;
  /** Of the folder, before it was read for the first time: what changes from then on is noticed. */
  readonly #seen: string;
  readonly #cache: ModelCache | null;
  #watch: ModelsWatch | null = null;

  constructor(parts: {
    readonly modelsDir: string | null;
    readonly everyMs: number;
    readonly seen: string;
    readonly cache: ModelCache | null;
  }) {
    this.modelsDir = parts.modelsDir;
    this.#everyMs = parts.everyMs;
    this.#seen = parts.seen;
    this.#cache = parts.cache;
  }

  /** Null: nothing is fetched. */
  get fetched(): CachedModels | null {
    return this.#cache?.models ?? null;
  }

  follow(onChange: () => Promise<void>): void {
    const { modelsDir } = this;
    this.#cache?.follow(onChange);
    if (modelsDir === null || this.#everyMs === 0) return;
    this.#watch = new ModelsWatch({
      modelsDir,
      everyMs: this.#everyMs,
      seen: this.#seen,
      onChange,
    });
  }

  async close(): Promise<void> {
    this.#watch?.[Symbol.dispose]();
    await this.#cache?.close();
  }
}

/** @throws MillraceError as `ModelCache.open` does */
export async function openPlaces({
  configuration,
  link,
  log,
}: Pick<BackendParts, "configuration" | "link" | "log">): Promise<ModelPlaces> {
  const { options, sources } = configuration;
  const { natsModels, modelsWatchMs: everyMs, cacheDir, startTimeoutMs, natsPrefix } = options;
  if (natsModels === null) {
    const modelsDir = options.models;
    return new ModelPlaces({
      modelsDir,
      everyMs,
      seen: await fingerprintOf(modelsDir),
      cache: null,
    });
  }
  if (link === undefined) {
    throw new MillraceError(
      "option_invalid",
      "--nats-models says what is fetched, and --nats from where",
    );
  }
  // Who says what is fetched wants that, and the bundled models only where they are named.
  const modelsDir = sources.models === "default" ? null : options.models;
  const seen = modelsDir === null ? "" : await fingerprintOf(modelsDir);
  // Two deployments may have different models of one name.
  const hosts = (options.nats ?? "").split(",").map((url) => url.trim().replace(/^.*[@/]/, ""));
  const named = [...hosts.toSorted(), natsPrefix].join("\n");
  const store = createHash("sha256").update(named).digest("hex");
  const dir = join(cacheDir, "nats-models", store.slice(0, 16));
  const isNeeded = modelsDir === null;
  const startMsMax = isNeeded ? startTimeoutMs : waitMsMax;
  const wanted = natsModels;
  // Loaded where models are fetched only: its libraries are those of NATS.
  const { ModelCache: Cache } = await import("../nats/model-cache.js");
  const cache = await Cache.open({ link, dir, wanted, everyMs, startMsMax, isNeeded, log });
  return new ModelPlaces({ modelsDir, everyMs, seen, cache });
}
