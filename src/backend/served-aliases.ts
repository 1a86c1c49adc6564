/**
 * Names that mean a version: `minilm` → `minilm@2`. What a name means moves in one step: requests before it were let in for the old version,
 * those after it are for the new one. Where the new one is not loaded and the old one is, it is loaded first, so that nobody waits for that.
 *
 *   wanted ─► target served? ── no ──► as it was; it may come
 *                │ yes
 *                ├─ loaded, or nobody has the old one ──► moved
 *                └─ else ─► loaded for its own sake ── loaded, or 10 s ──► moved
 */
import type { HostedFolder } from "./served-models.js";

export interface ServedAliasesOptions {
  /** Null: the name means nothing. */
  readonly serve: (alias: string, target: HostedFolder | null) => void;
  readonly host: (target: HostedFolder) => void;
  readonly isResident: (key: string) => boolean;
  readonly servedAs: (name: string) => HostedFolder | undefined;
}

const loadMsMax = 10_000;

export class ServedAliases {
  readonly #options: ServedAliasesOptions;
  #wanted: ReadonlyMap<string, string>;
  /** Alias → what is served under it now. */
  readonly #now = new Map<string, HostedFolder>();
  readonly #waits = new Map<string, NodeJS.Timeout>();

  constructor(wanted: ReadonlyMap<string, string>, options: ServedAliasesOptions) {
    this.#options = options;
    this.#wanted = wanted;
  }

  /** What is served under each name: the folder, and the model as callers of the name have it. */
  get served(): readonly HostedFolder[] {
    return [...this.#now].map(([alias, target]) => aliased(alias, target));
  }

  get names(): readonly string[] {
    return [...this.#now.keys()];
  }

  want(wanted: ReadonlyMap<string, string>): void {
    this.#wanted = wanted;
    for (const alias of this.#now.keys()) if (!wanted.has(alias)) this.#drop(alias);
    this.settle();
  }

  /** After a model came, changed, was loaded or went. */
  settle(): void {
    for (const [alias, name] of this.#wanted) this.#settleOne(alias, name);
  }

  close(): void {
    for (const timer of this.#waits.values()) clearTimeout(timer);
    this.#waits.clear();
  }

  #settleOne(alias: string, name: string): void {
    const { servedAs, isResident, host } = this.#options;
    const target = servedAs(name);
    const old = this.#now.get(alias);
    if (target === undefined) {
      // What it meant may be served still: until the other one comes it means that.
      if (old !== undefined && servedAs(old.hosted.name) === undefined) this.#drop(alias);
      return;
    }
    if (old?.hosted.key === target.hosted.key) return this.#stopWaiting(alias);
    const oldIsThere =
      old !== undefined && servedAs(old.hosted.name)?.hosted.key === old.hosted.key;
    const mustWait = oldIsThere && isResident(old.hosted.key) && !isResident(target.hosted.key);
    if (!mustWait) return this.#move(alias, target);
    if (this.#waits.has(alias)) return;
    host(target);
    const timer = setTimeout(() => {
      this.#waits.delete(alias);
      const now = servedAs(this.#wanted.get(alias) ?? "");
      if (now !== undefined) this.#move(alias, now);
    }, loadMsMax);
    timer.unref();
    this.#waits.set(alias, timer);
  }

  #move(alias: string, target: HostedFolder): void {
    this.#stopWaiting(alias);
    this.#now.set(alias, target);
    this.#options.serve(alias, aliased(alias, target));
  }

  #drop(alias: string): void {
    this.#stopWaiting(alias);
    this.#now.delete(alias);
    this.#options.serve(alias, null);
  }

  #stopWaiting(alias: string): void {
    clearTimeout(this.#waits.get(alias));
    this.#waits.delete(alias);
  }
}

/** To callers it has the name that they use, to pipelines the one of the version. */
function aliased(alias: string, { folder, hosted }: HostedFolder): HostedFolder {
  return { folder, hosted: { ...hosted, name: alias } };
}
