/**
 * Breaks the compiled rooms, one place at a time, in a copy: `dist` and the simulator in a temporary folder, whose package.json
 * has the same imports. A few schedules run against each, in a process of their own, until the rule is broken that was meant.
 */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SourceMutation } from "./source-mutation.js";
import { sourceMutations } from "./source-mutations.js";

const seedsMax = 1_500;
/** A mutation may make the rooms spin. */
const hangMs = 120_000;

// Compiled tests run from build/test/sim.
const root = fileURLToPath(new URL("../../..", import.meta.url));

/** A copy of what the simulator needs, in which one file at a time is broken. */
export class Workshop implements AsyncDisposable {
  readonly #dir: string;

  private constructor(dir: string) {
    this.#dir = dir;
  }

  static async make(): Promise<Workshop> {
    const dir = await mkdtemp(join(tmpdir(), "millrace-mutations-"));
    const imports = { "#src/*": "./dist/*" };
    await writeFile(join(dir, "package.json"), JSON.stringify({ type: "module", imports }));
    await symlink(join(root, "node_modules"), join(dir, "node_modules"));
    await mkdir(join(dir, "test/sim"), { recursive: true });
    await cp(join(root, "test/sim/recorded-runs.json"), join(dir, "test/sim/recorded-runs.json"));
    const filter = (path: string): boolean => !/\.(map|d\.ts)$/.test(path);
    await cp(join(root, "dist"), join(dir, "dist"), { recursive: true, filter });
    await cp(join(root, "build/test/sim"), join(dir, "build/test/sim"), {
      recursive: true,
      filter,
    });
    return new Workshop(dir);
  }

  /** What no longer fits the rooms as they are now, for people: their code went on, the mutation did not. */
  static async lostPlaces(mutations: readonly SourceMutation[]): Promise<string[]> {
    const lost = await Promise.all(
      mutations.map(async (mutation) =>
        lostPlace(await readFile(join(root, "dist", mutation.file), "utf8"), mutation),
      ),
    );
    return lost.filter((problem) => problem !== null);
  }

  /** Null: noticed. Else what is wrong, for people. */
  async check({ file, find, replace, rule, focus = {} }: SourceMutation): Promise<string | null> {
    const path = join(this.#dir, "dist", file);
    const good = await readFile(path, "utf8");
    const lost = lostPlace(good, { file, find });
    if (lost !== null) return lost;
    await writeFile(
      path,
      good.replace(find, () => replace),
    );
    try {
      const { found, seen } = await this.#find(rule, focus);
      return found === null ? `not noticed in ${seedsMax} schedules; instead: ${seen}` : null;
    } finally {
      await writeFile(path, good);
    }
  }

  #find(rule: string, focus: object): Promise<{ found: number | null; seen: string }> {
    const script = join(this.#dir, "build/test/sim/find-rule.js");
    const args = [script, rule, `${seedsMax}`, JSON.stringify(focus)];
    return new Promise((resolve) => {
      execFile(process.execPath, args, { timeout: hangMs }, (error, stdout, stderr) => {
        if (error !== null) return resolve({ found: null, seen: `${error.message} ${stderr}` });
        const { found, seen } = JSON.parse(stdout) as { found: number | null; seen: object };
        resolve({ found, seen: JSON.stringify(seen) });
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#dir, { recursive: true, force: true });
  }
}

function lostPlace(
  code: string,
  { file, find }: Pick<SourceMutation, "file" | "find">,
): string | null {
  const places = code.split(find).length - 1;
  return places === 1
    ? null
    : `dist/${file} has ${places} places like "${find}": mend the mutation`;
}

/** All of them, for the command: how many were not noticed. */
export async function checkMutations(print: (line: string) => void, only = ""): Promise<number> {
  const all = Object.entries(sourceMutations).flatMap(([room, list]) =>
    list
      .filter(({ name }) => `${room} ${name}`.includes(only))
      .map((mutation) => ({ room, mutation })),
  );
  let missed = 0;
  const work = async (): Promise<void> => {
    await using workshop = await Workshop.make();
    for (let next = all.shift(); next !== undefined; next = all.shift()) {
      const { room, mutation } = next;
      const startedAtMs = performance.now();
      const problem = await workshop.check(mutation);
      const seconds = ((performance.now() - startedAtMs) / 1_000).toFixed(1);
      if (problem !== null) missed += 1;
      const end =
        problem === null
          ? `breaks "${mutation.rule}"`
          : `IS MISSED ("${mutation.rule}"): ${problem}`;
      print(`${seconds} s: a ${room} that ${mutation.name} ${end}`);
    }
  };
  await Promise.all([work(), work()]);
  return missed === 0 ? 0 : 1;
}
