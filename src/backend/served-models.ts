/**
 * What is served, while folders come, change and go. A changed model is another one to the pipelines: it is loaded beside the
 * old one, takes its name over when the first pipeline has it, and the old one finishes what it has and goes. One that
 * cannot be loaded takes nothing over, and is named.
 *
 *   folder ─► new version ── loaded, or no room beside the old ──► serves under the name; the old one leaves
 *                ├─ the old one is nowhere any more ─────────────► likewise: its files are not there to load it again
 *                ├─ load-failed ──► broken, with the reason; the old one serves on
 *                └─ ended from outside, or short of something ──► says nothing of it: it is loaded again, a while later
 */
import type { ModelsReload } from "millrace-client/wire";
import type { BrokenFolder, ModelFolder } from "../models/registry.js";
import type { HostedTaskModel } from "../submit/local/local-submit.js";
import { messageOf } from "../work/thrown.js";
import type { PoolEvent } from "../worker/events.js";
import { ServedAliases } from "./served-aliases.js";

export interface HostedFolder {
  readonly folder: ModelFolder;
  readonly hosted: HostedTaskModel;
}

export interface FoundModels {
  readonly served: readonly HostedFolder[];
  readonly broken: readonly BrokenFolder[];
  /** Names that mean a version of a model: `minilm` → `minilm@2`. Default: none. */
  readonly aliases?: ReadonlyMap<string, string>;
}

export interface ServedModelsOptions {
  readonly modelsDir: string;
  /** What it holds now; what is known is not opened again. Rejects where that is nothing that can be served. */
  readonly find: (known: readonly HostedFolder[]) => Promise<FoundModels>;
  /** Models that `--preload` names and that are not among these. */
  readonly missingOf: (names: readonly string[]) => readonly string[];
  /** Pipelines may be told to load it. */
  readonly host: (model: HostedTaskModel) => void;
  /** Callers of this name get this one from now on; null: nobody is served under it. */
  readonly serve: (name: string, model: HostedTaskModel | null) => void;
  readonly retire: (key: string) => void;
  /** Prepare knows these from now on. */
  readonly prepare: (models: readonly HostedFolder[]) => void;
  readonly isResident: (key: string) => boolean;
}

/** A new version that finds no room beside the old one takes its place then; one whose load failed is tried again. */
const beside = 10_000;

interface Coming {
  readonly next: HostedFolder;
  timer: NodeJS.Timeout;
  hasFailed: boolean;
}

export class ServedModels {
  readonly #options: ServedModelsOptions;
  readonly #served = new Map<string, HostedFolder>();
  /** New versions that are not served yet, by name. */
  readonly #coming = new Map<string, Coming>();
  readonly #failed = new Map<string, BrokenFolder>();
  /** Folders are there, and nobody is served from them until somebody asks for that. */
  readonly #unloaded = new Set<string>();
  readonly #aliases: ServedAliases;
  #broken: readonly BrokenFolder[];
  #versions = 0;
  /** Keys, as whoever prepares was told of them. */
  #prepared: string;
  #reloading: Promise<ModelsReload> | null = null;
  /** After the one that is under way. */
  #next: Promise<ModelsReload> | null = null;

  constructor(found: FoundModels, options: ServedModelsOptions) {
    this.#options = options;
    this.#broken = found.broken;
    for (const each of found.served) this.#served.set(each.hosted.name, each);
    this.#prepared = found.served.map(({ hosted }) => hosted.key).join("\n");
    this.#aliases = new ServedAliases(found.aliases ?? new Map(), {
      serve: (alias, target) => options.serve(alias, target?.hosted ?? null),
      host: ({ hosted }) => options.host({ ...hosted, keep: "preloaded" }),
      isResident: options.isResident,
      servedAs: (name) => this.#served.get(name),
    });
  }

  /** Names mean their versions from now on: whoever serves is there. */
  start(): void {
    this.#aliases.settle();
  }

  get served(): readonly HostedFolder[] {
    return [...this.#served.values()];
  }

  /** The same, and under each name that means a version that version once more. */
  get named(): readonly HostedFolder[] {
    return [...this.served, ...this.#aliases.served];
  }

  get broken(): readonly BrokenFolder[] {
    return [...this.#broken, ...this.#failed.values()];
  }

  /** Models that `--preload` names and that nobody serves: their folders went. */
  get missing(): readonly string[] {
    const names = [...this.#served.keys(), ...this.#aliases.names, ...this.#unloaded];
    return this.#options.missingOf(names);
  }

  get unloaded(): readonly string[] {
    return [...this.#unloaded];
  }

  /** Nobody is let in for it any more, until it is loaded; what was finishes. False: there is no such model. */
  unload(name: string): boolean {
    if (!this.#served.has(name)) return this.#unloaded.has(name);
    this.#unloaded.add(name);
    this.#drop(name);
    this.#prepare(this.#known);
    return true;
  }

  /** Serves it again, as its folder is now, and has it loaded where there is room. False: there is no such folder. */
  async load(name: string): Promise<boolean> {
    const was = this.#unloaded.delete(name);
    try {
      await this.reload();
    } catch (error) {
      if (was) this.#unloaded.add(name);
      throw error;
    }
    const served = this.#served.get(name);
    if (served === undefined) return false;
    const { hosted } = served;
    if (hosted.keep === "on-demand") this.#options.host({ ...hosted, keep: "preloaded" });
    return true;
  }

  /**
   * Whoever asks while one is under way gets the answer of the next: the one under way may have looked before what they know
   * of was there. Rejects where nothing could be served: all stays as it is.
   */
  reload(): Promise<ModelsReload> {
    const now = this.#reloading;
    if (now === null) return this.#begin();
    this.#next ??= now
      .catch(() => {})
      .then(() => {
        this.#next = null;
        return this.#begin();
      });
    return this.#next;
  }

  #begin(): Promise<ModelsReload> {
    const reloading = this.#reload().finally(() => {
      if (this.#reloading === reloading) this.#reloading = null;
    });
    this.#reloading = reloading;
    return reloading;
  }

  /** After the dispatcher has heard it. */
  observed(event: PoolEvent): void {
    if (event.type === "loaded") this.#arrived(event.model);
    if (event.type === "load-failed") this.#failedOnce(event);
    if (event.type === "down" && event.loading?.isFault === true)
      this.#lost(event.loading.model, event.reason);
    if (event.type === "down" || event.type === "unloaded") this.#inherit();
    if (event.type === "loaded" || event.type === "down") this.#aliases.settle();
  }

  close(): void {
    for (const { timer } of this.#coming.values()) clearTimeout(timer);
    this.#coming.clear();
    this.#aliases.close();
  }

  async #reload(): Promise<ModelsReload> {
    const all = await this.#find();
    const found = {
      ...all,
      served: all.served.filter(({ hosted }) => !this.#unloaded.has(hosted.name)),
    };
    for (const name of this.#unloaded) {
      if (!all.served.some(({ hosted }) => hosted.name === name)) this.#unloaded.delete(name);
    }
    this.#broken = found.broken;
    this.#failed.clear();
    const added: string[] = [];
    const changed: string[] = [];
    const names = new Set(found.served.map(({ hosted }) => hosted.name));
    const brokenPlaces = new Set(found.broken.map(({ dir }) => dir));
    const removed = this.served.filter(
      ({ folder, hosted }) => !names.has(hosted.name) && !brokenPlaces.has(placeOf(folder)),
    );
    const fresh = found.served.filter(({ folder, hosted }) => {
      const now = this.#coming.get(hosted.name)?.next ?? this.#served.get(hosted.name);
      return now === undefined || versionOf(now.folder) !== versionOf(folder);
    });
    const next = fresh.map((each) => this.#versioned(each));
    this.#prepare([...this.#known, ...next]);
    for (const { hosted } of removed) this.#drop(hosted.name);
    for (const each of next) {
      const { name } = each.hosted;
      (this.#served.has(name) ? changed : added).push(name);
      this.#bring(each);
    }
    this.#prepare(this.#known);
    this.#aliases.want(found.aliases ?? new Map());
    return {
      added,
      changed,
      removed: removed.map(({ hosted }) => hosted.name),
      broken: this.broken.map((each) => ({ ...each })),
      missing: this.missing,
    };
  }

  /** Whoever prepares forgets the versions that nobody is let in for any more; where nothing changed it is left alone. */
  #prepare(models: readonly HostedFolder[]): void {
    const prepared = models.map(({ hosted }) => hosted.key).join("\n");
    if (prepared === this.#prepared) return;
    this.#prepared = prepared;
    this.#options.prepare(models);
  }

  /** What is served, and what will be. */
  get #known(): readonly HostedFolder[] {
    return [...this.served, ...[...this.#coming.values()].map(({ next }) => next)];
  }

  async #find(): Promise<FoundModels> {
    const { find, modelsDir } = this.#options;
    try {
      return await find(this.#known);
    } catch (error) {
      const reason = messageOf(error);
      this.#broken = [{ dir: modelsDir, reason }];
      throw error;
    }
  }

  #versioned(each: HostedFolder): HostedFolder {
    const { folder, hosted } = each;
    const taken = new Set(this.#known.map((known) => known.hosted.key));
    // A folder may be called so.
    do this.#versions += 1;
    while (taken.has(`${hosted.name}@${this.#versions}`));
    return { folder, hosted: { ...hosted, key: `${hosted.name}@${this.#versions}` } };
  }

  #bring(next: HostedFolder): void {
    const { hosted } = next;
    this.#forget(hosted.name);
    const old = this.#served.get(hosted.name);
    const isBeside = old !== undefined && this.#options.isResident(old.hosted.key);
    if (isBeside) return this.#bringBeside(next);
    this.#options.host(hosted);
    this.#takeOver(next);
  }

  #bringBeside(next: HostedFolder): void {
    const { hosted } = next;
    // Whoever asks for the old one gets it; nobody asks for the new one, so it is loaded for its own sake. Two versions of a
    // pinned model would leave less room for others than there is in the end.
    this.#options.host({ ...hosted, keep: "preloaded" });
    const timer = setTimeout(() => {
      if (coming.hasFailed) return this.#bringBeside(next);
      this.#takeOver(next);
      this.#prepare(this.#known);
    }, beside);
    timer.unref();
    const coming: Coming = { next, timer, hasFailed: false };
    this.#coming.set(hosted.name, coming);
  }

  #arrived(key: string): void {
    for (const { next } of this.#coming.values()) {
      if (next.hosted.key !== key) continue;
      this.#takeOver(next);
      this.#prepare(this.#known);
    }
  }

  #failedOnce({ model, reason, isBroken }: Extract<PoolEvent, { type: "load-failed" }>): void {
    if (isBroken) return this.#lost(model, reason);
    for (const coming of this.#coming.values()) {
      const { folder, hosted } = coming.next;
      if (hosted.key !== model) continue;
      coming.hasFailed = true;
      this.#failed.set(hosted.name, { dir: placeOf(folder), reason });
    }
  }

  #lost(key: string, reason: string): void {
    for (const { next } of this.#coming.values()) {
      const { folder, hosted } = next;
      if (hosted.key !== key) continue;
      this.#forget(hosted.name);
      this.#failed.set(hosted.name, { dir: placeOf(folder), reason });
      this.#prepare(this.#known);
    }
  }

  /** A version that no pipeline has any more is not waited for by the one after it. */
  #inherit(): void {
    for (const [name, { next }] of this.#coming) {
      const old = this.#served.get(name);
      if (old !== undefined && this.#options.isResident(old.hosted.key)) continue;
      this.#takeOver(next);
      this.#prepare(this.#known);
    }
  }

  #takeOver(next: HostedFolder): void {
    const { name, key } = next.hosted;
    const timer = this.#coming.get(name)?.timer;
    clearTimeout(timer);
    this.#coming.delete(name);
    this.#failed.delete(name);
    const old = this.#served.get(name);
    this.#served.set(name, next);
    this.#options.serve(name, next.hosted);
    this.#aliases.settle();
    if (old === undefined || old.hosted.key === key) return;
    this.#options.retire(old.hosted.key);
    if (next.hosted.keep === "pinned") this.#options.host(next.hosted);
  }

  /** A version that was to come does not. */
  #forget(name: string): void {
    const coming = this.#coming.get(name);
    if (coming === undefined) return;
    clearTimeout(coming.timer);
    this.#coming.delete(name);
    this.#options.retire(coming.next.hosted.key);
  }

  #drop(name: string): void {
    this.#forget(name);
    const old = this.#served.get(name);
    this.#served.delete(name);
    this.#options.serve(name, null);
    this.#aliases.settle();
    if (old !== undefined) this.#options.retire(old.hosted.key);
  }
}

/** Two folders that say the same of every file are one version. */
export function versionOf({ dir, path = dir, manifest, version }: ModelFolder): string {
  return JSON.stringify([path, version?.version ?? manifest]);
}

/** As those are called that are broken. */
function placeOf({ dir, path = dir }: ModelFolder): string {
  return path;
}
