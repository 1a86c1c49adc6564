/** Completion as the shells themselves give it, and the configuration file that `init` writes. */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdir, readdir, readFile, readlink, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { registerCommands } from "#src/cli/commands.js";
import { completionText } from "#src/cli/completion.js";
import { configurationText } from "#src/cli/init.js";
import { newProgram } from "#src/cli/program.js";
import { configVersionKey } from "#src/options/config-file.js";
import { plainJson } from "#src/options/json-comments.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { optionKeys } from "#src/options/table.js";
import { finish } from "../support/finish.js";
import { millrace } from "../support/serve-process.js";
import { TempDir } from "../support/temp-dir.js";

const program = newProgram();
registerCommands(program);

/** Words that are typed, the last one half → what stands for it. */
const wanted: readonly (readonly [typed: string[], offered: string[], more?: true])[] = [
  [["tr"], ["translate"]],
  [["translate", "--cl"], ["--class"]],
  [
    ["translate", "--class", ""],
    ["bulk", "realtime"],
  ],
  [["serve", "--policy", "mi"], ["millrace"]],
  [["jobs", "sub"], ["submit"]],
  [["jobs", "submit", "--idem"], ["--idempotency-key"]],
  [["completion", "z"], ["zsh"]],
  [["config", "mi"], ["migrate"]],
  // Not of the command `status`.
  [["jobs", "status", "--w"], [""]],
  [["status", "--w"], ["--watch"]],
  [["serve", "--port", "1", "--policy", "fc"], ["fcfs"]],
];

test("bash offers commands, flags and choices", async () => {
  const script = completionText(program, "bash");
  for (const [typed, offered] of wanted) {
    const words = ["millrace", ...typed].map((word) => `'${word}'`).join(" ");
    const ask = `COMP_WORDS=(${words}); COMP_CWORD=${typed.length}; _millrace; printf '%s\\n' "\${COMPREPLY[@]}"`;
    // Where nothing is offered `compgen` says so by its status.
    const out = execFileSync("bash", ["-uc", `${script}\n${ask}`], { encoding: "utf8" });
    assert.deepEqual(out.trimEnd().split("\n").toSorted(), offered, typed.join(" "));
  }
  const file = `${script}\nCOMP_WORDS=(millrace embed --out ''); COMP_CWORD=3; _millrace; echo "\${#COMPREPLY[@]}"; complete -p millrace`;
  const out = execFileSync("bash", ["-euc", file], { encoding: "utf8" });
  assert.equal(out, "0\ncomplete -o default -F _millrace millrace\n", "paths are the shell's own");
});

const hasFish = spawnSync("fish", ["--version"]).error === undefined;

test("fish offers the same", { skip: !hasFish && "there is no fish here" }, async () => {
  await using dir = await TempDir.make();
  const path = join(dir.path, "millrace.fish");
  await writeFile(path, completionText(program, "fish"));
  for (const [typed, offered] of wanted) {
    const line = ["millrace", ...typed].join(" ");
    const ask = `source ${path}; complete -C '${line}'`;
    const out = execFileSync("fish", ["--no-config", "-c", ask], { encoding: "utf8" });
    const words = out
      .trimEnd()
      .split("\n")
      .map((each) => each.split("\t")[0] ?? "");
    assert.deepEqual(
      words.toSorted((a, b) => a.localeCompare(b)),
      offered,
      line,
    );
  }
});

const hasZsh = spawnSync("zsh", ["--version"]).error === undefined;

test("zsh takes its script, and has a completion then", {
  skip: !hasZsh && "there is no zsh here",
}, () => {
  const script = completionText(program, "zsh");
  const ask = `autoload -U compinit && compinit -D -u\n${script}\nprint -r -- \${_comps[millrace]}`;
  const out = execFileSync("zsh", ["-fc", ask], { encoding: "utf8" });
  assert.match(out, /_bash_complete .*_millrace/);
});

test("init: as it is it sets nothing; each option alone is taken as it stands", async () => {
  await using dir = await TempDir.make();
  const text = configurationText();
  const path = join(dir.path, "millrace.config.json");
  await writeFile(path, text);
  const defaults = resolveConfiguration({});
  const { options, sources, warnings } = resolveConfiguration({ file: path });
  assert.deepEqual([options, warnings], [defaults.options, defaults.warnings]);
  assert.ok(Object.values(sources).every((source) => source === "default"));
  const set = text.split("\n").filter((line) => /^ {2}\/\/ "/.test(line));
  assert.equal(set.length, optionKeys.length);
  assert.ok(text.split("\n").every((line) => line.length <= 120));
  for (const [at, key] of optionKeys.entries()) {
    const line = set.find((each) => each.startsWith(`  // "${key}":`));
    assert.ok(line !== undefined, `${key} of place ${at}`);
    const parsed: unknown = JSON.parse(plainJson(text.replace(line, line.replace("// ", ""))));
    assert.deepEqual(Object.keys(parsed as object), [configVersionKey, key]);
  }
  const all = text.replaceAll(/^ {2}\/\/ "/gm, '  "');
  assert.equal(Object.keys(JSON.parse(plainJson(all)) as object).length, 1 + optionKeys.length);
});

test("init writes the file, once, and --force again", async () => {
  await using dir = await TempDir.make();
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [millrace, "init", join(dir.path, "new"), ...args], {
      encoding: "utf8",
    });
  const path = join(dir.path, "new", "millrace.config.json");
  assert.equal(run().stdout, `${path}\n`);
  assert.equal(await readFile(path, "utf8"), configurationText());
  const again = run();
  assert.match(again.stderr, /^option_invalid: .* is there already; --force writes over it\n/);
  assert.equal(again.status, 2);
  assert.equal(run("--force").status, 0);
});

test("defect: init where nothing can be written tried for ever, or named a file that was not there", async () => {
  await using dir = await TempDir.make();
  const file = join(dir.path, "file");
  await writeFile(file, "");
  const places = [
    [file, /: a file stands where a folder should be \(E\w+\)\n/],
    [join(file, "below"), /: a file stands where a folder should be \(E\w+\)\n/],
    ...(process.platform === "linux"
      ? ([["/proc/none/below", /: nothing can be made there \(ENOENT\)\n/]] as const)
      : []),
  ] as const;
  for (const [place, said] of places) {
    const args = [millrace, "init", place];
    const ended = spawnSync(process.execPath, args, { encoding: "utf8", timeout: 30_000 });
    assert.match(ended.stderr, said);
    assert.equal(ended.status, 2);
  }
});

test("JSON with comments: what stands in a text is text, and every place stays", () => {
  const text = '{ // a\n"k": "// no /* no */, }", /* b\n */ "l": [1, 2,], }';
  const plain = plainJson(text);
  assert.deepEqual(JSON.parse(plain), { k: "// no /* no */, }", l: [1, 2] });
  assert.equal(plain.length, text.length);
  assert.equal(plain.split("\n").length, 3);
});

test("defect: of two runs of init at once the later one wrote over the file of the first, and a link was replaced", async () => {
  await using dir = await TempDir.make();
  const runs = await Promise.all(
    [1, 2, 3].map(() => finish(spawn(process.execPath, [millrace, "init", dir.path]))),
  );
  assert.deepEqual(
    runs.map(({ code }) => code).toSorted((a, b) => Number(a) - Number(b)),
    [0, 2, 2],
  );
  const refused = runs.filter(({ code }) => code === 2);
  for (const { err } of refused) assert.match(err, /is there already; --force writes over it/);
  assert.deepEqual(await readdir(dir.path), ["millrace.config.json"]);
  const link = dir.file("linked", "millrace.config.json");
  await mkdir(dir.file("linked"));
  await symlink(dir.file("later.json"), link);
  const again = await finish(spawn(process.execPath, [millrace, "init", dir.file("linked")]));
  assert.equal(again.code, 2, again.err);
  assert.equal(await readlink(link), dir.file("later.json"));
});
