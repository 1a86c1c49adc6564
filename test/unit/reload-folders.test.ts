/** Folders as people leave them while they are served: half copied, replaced in place, twice, in circles; and who must notice. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  cp,
  link,
  mkdir,
  readFile,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { test } from "node:test";
import { checkNames, keepOf, missingOf } from "#src/backend/keep.js";
import { ToldPaths } from "#src/backend/told-paths.js";
import { type ModelFolder, ModelRegistry } from "#src/models/registry.js";
import { fingerprintOf, ModelsWatch } from "#src/models/watch-models.js";
import { optionTable } from "#src/options/table.js";
import { Preparer } from "#src/prepare/preparer.js";
import { loadEngine } from "#src/runtime/engines.js";
import { openTaskModels, prepareThreadOf } from "#src/tasks/open.js";
import type { TaskModel } from "#src/tasks/task.js";
import { bundledModelDir } from "../support/engine.js";
import { replaceFile } from "../support/model-copies.js";
import { manifestOf, sha256Of, writeModelFolder } from "../support/model-folder.js";
import { graphBytes, identityGraph } from "../support/onnx-graph.js";
import { TempDir } from "../support/temp-dir.js";

const limits = { inputCharactersMax: 2_000_000, imagePixelsMax: 1 };
const never = (): AbortSignal => new AbortController().signal;

function namesOf(registry: ModelRegistry): string[] {
  return registry.list().map(({ manifest }) => manifest.name);
}

async function onlyOf(dir: string): Promise<ModelFolder> {
  const [folder, ...others] = (await ModelRegistry.open(dir)).list();
  assert.ok(folder !== undefined && others.length === 0);
  return folder;
}

test("a folder that nobody touched is the one that was read, and one that was is looked at again", async () => {
  await using dir = await TempDir.make();
  await writeModelFolder(dir.file("a"), manifestOf("a"));
  const first = (await ModelRegistry.open(dir.path)).list();
  assert.deepEqual((await ModelRegistry.open(dir.path, first)).list(), first);
  assert.equal((await ModelRegistry.open(dir.path, first)).list()[0], first[0]);
  // The same bytes at another time: hashed again, and the same version.
  await utimes(dir.file("a", "weights.bin"), 1, 1);
  const [touched] = (await ModelRegistry.open(dir.path, first)).list();
  assert.equal(touched?.version?.version, first[0]?.version?.version);
  assert.notEqual(touched?.version?.seen, first[0]?.version?.seen);
  // Others, of the same length and at the same time.
  await writeFile(dir.file("a", "weights.bin"), "weights.bIn");
  await utimes(dir.file("a", "weights.bin"), 1, 1);
  const { broken } = await ModelRegistry.open(dir.path, [...first]).catch((error: Error) => ({
    broken: [{ reason: error.message }],
  }));
  assert.match(broken[0]?.reason ?? "", /weights\.bin was changed/);
});

test("defect: a folder whose files were linked while it was read, as a backup does, was left out", async () => {
  await using dir = await TempDir.make();
  const { fileSha256, ...manifest } = manifestOf("a");
  const weights = Buffer.alloc(64 * 1024 * 1024);
  const hashes = { ...fileSha256, "weights.bin": sha256Of(weights) };
  await writeModelFolder(dir.file("a"), { ...manifest, fileSha256: hashes });
  await writeFile(dir.file("a", "weights.bin"), weights);
  const opened = ModelRegistry.open(dir.path);
  // Some milliseconds: all of them while the weights are hashed for the first time.
  for (let links = 0; links < 20; links += 1) {
    await link(dir.file("a", "weights.bin"), dir.file("backup"));
    await rm(dir.file("backup"));
  }
  assert.deepEqual(namesOf(await opened), ["a"]);
});

test("defect: a further model of a folder that breaks is known by its own manifest, and found again under another name", async () => {
  await using dir = await TempDir.make();
  await writeModelFolder(dir.file("a"), manifestOf("a"));
  const further = { ...manifestOf("too"), fileSha256: manifestOf("a").fileSha256 };
  await writeFile(dir.file("a", "millrace.one.json"), JSON.stringify(further));
  const before = (await ModelRegistry.open(dir.path)).list();
  await rename(dir.file("a", "millrace.one.json"), dir.file("a", "millrace.two.json"));
  const after = (await ModelRegistry.open(dir.path, before)).list();
  assert.deepEqual(
    after.map(({ path }) => path),
    [dir.file("a"), dir.file("a", "millrace.two.json")],
  );
});

test("attack: half copied and then whole, links in circles, a pipe, a copy beside it, five hundred folders", async () => {
  await using dir = await TempDir.make();
  await writeModelFolder(dir.file("m"), manifestOf("m"));
  const known = (await ModelRegistry.open(dir.path)).list();
  // The manifest and the first half of the weights are there.
  await cp(dir.file("m"), dir.file("half"), { recursive: true });
  await writeFile(dir.file("half", "millrace.json"), JSON.stringify(manifestOf("half")));
  await writeFile(dir.file("half", "weights.bin"), "weig");
  await symlink("loop", dir.file("loop"));
  await symlink("..", dir.file("m", "parent"));
  await writeModelFolder(dir.file("pipe"), manifestOf("pipe"));
  await rm(dir.file("pipe", "tokenizer.json"));
  execFileSync("mkfifo", [dir.file("pipe", "tokenizer.json")]);
  // It comes before what it is a copy of.
  await cp(dir.file("m"), dir.file("copy-of-m"), { recursive: true });
  for (let at = 0; at < 500; at += 1) {
    await mkdir(dir.file(`g${at}`));
    await writeFile(dir.file(`g${at}`, "model.onnx"), identityGraph("FP32", ["n", 2]));
  }
  const registry = await ModelRegistry.open(dir.path, known);
  const reasons = new Map(registry.broken.map(({ dir: at, reason }) => [at, reason]));
  assert.equal(registry.list().length, 501);
  assert.equal(
    registry.list().find(({ manifest }) => manifest.name === "m"),
    known[0],
  );
  assert.match(reasons.get(dir.file("copy-of-m")) ?? "", /\/m has the name m already/);
  assert.match(reasons.get(dir.file("half")) ?? "", /weights\.bin was changed/);
  assert.match(reasons.get(dir.file("loop")) ?? "", /loop/);
  assert.match(reasons.get(dir.file("pipe")) ?? "", /tokenizer\.json is not a file/);
  assert.equal(reasons.size, 4);
  await writeFile(dir.file("half", "weights.bin"), "weights.bin");
  const whole = await ModelRegistry.open(dir.path, registry.list());
  assert.ok(namesOf(whole).includes("half"));
  const same = new Set(registry.list());
  assert.equal(whole.list().filter((each) => same.has(each)).length, 501);
});

test("defect: the watch sees the last file of a copy, and what came before its first look", async () => {
  await using dir = await TempDir.make();
  await writeModelFolder(dir.file("a"), manifestOf("a"));
  let seen = await fingerprintOf(dir.path);
  assert.equal(await fingerprintOf(dir.path), seen);
  for (const [name, content] of [
    ["weights.bin", "the last of them"],
    ["labels.json", "[]"],
    ["../beside.onnx", identityGraph("FP32", [1])],
    ["../beside.onnx.data", "its weights"],
  ] as const) {
    await writeFile(dir.file("a", name), content);
    const now = await fingerprintOf(dir.path);
    assert.notEqual(now, seen, name);
    seen = now;
  }
  await writeFile(dir.file("a", "weights.bin"), "before the first look");
  let look: () => void = () => {};
  const changed = new Promise<void>((resolve) => {
    look = resolve;
  });
  const onChange = async (): Promise<void> => await Promise.resolve(look());
  using _ = new ModelsWatch({ modelsDir: dir.path, everyMs: 3_600_000, seen, onChange });
  await changed;
});

/** Two pieces of the vocabulary have each other's ids. */
function otherTokenizer(json: string): string {
  const tokenizer = JSON.parse(json) as { model: { vocab: [string, number][] } };
  const { vocab } = tokenizer.model;
  const [one, two] = [100, 200].map((at) => vocab[at]);
  assert.ok(one !== undefined && two !== undefined);
  vocab[100] = [two[0], one[1]];
  vocab[200] = [one[0], two[1]];
  return JSON.stringify(tokenizer);
}

test("defect: files that are replaced in place are not the old version's: its work keeps its own tokenizer, in the thread too", async () => {
  await using dir = await TempDir.make();
  const tokenizer = await readFile(`${bundledModelDir}/tokenizer.json`, "utf8");
  const put = async (content: string): Promise<void> => {
    const contents = { "tokenizer.json": content };
    const hashes = { ...manifestOf("a").fileSha256, "tokenizer.json": sha256Of(content) };
    const manifest = { ...manifestOf("a", contents), fileSha256: hashes };
    await writeModelFolder(dir.file("a"), manifest, contents);
  };
  await put(tokenizer);
  const open = async (folder: ModelFolder): Promise<TaskModel> => {
    const { models } = await openTaskModels([folder], limits);
    return models.get("a") ?? assert.fail("not opened");
  };
  const oldFolder = await onlyOf(dir.path);
  const oldModel = await open(oldFolder);
  const notOpened: string[] = [];
  await using preparer = new Preparer({
    models: new Map([["a", oldModel]]),
    thread: prepareThreadOf(new Map([["a", oldFolder]]), limits),
    inlineCharactersMax: 100,
    onNotOpened: (model) => notOpened.push(model),
  });
  const vocab = (JSON.parse(tokenizer) as { model: { vocab: [string, number][] } }).model.vocab;
  const words = [100, 200].map((at) => vocab[at]?.[0] ?? "");
  const text = words.join(" ").replaceAll("▁", " ").repeat(40);
  const idsOf = async (model: string, steps: TaskModel): Promise<string> => {
    const budget = { foresee() {}, reserve() {}, take() {} };
    const settings = steps.complete({ split: false, truncate: true });
    const request = { model, inputs: [text], settings, class: () => "bulk" as const, tenant: "t" };
    const [input] = await preparer.prepare({ ...request, budget }, never());
    assert.ok(input?.ok === true);
    return input.pieces.map(({ payload }) => payload.tensors["tokens"]?.data.join()).join();
  };
  const settings = oldModel.complete({ split: false, truncate: true });
  const steps = [...oldModel.steps(text, { index: 0, settings })];
  const piece = steps.find((step) => step.kind === "piece");
  assert.ok(piece?.kind === "piece", JSON.stringify(steps).slice(0, 500));
  const expected = piece.piece.payload.tensors["tokens"]?.data.join();

  // Nobody has seen it yet: the thread, which opens its first model now, must not take it for the old one.
  await put(otherTokenizer(tokenizer));
  assert.equal(await idsOf("a", oldModel), expected);
  assert.deepEqual(notOpened, ["a"]);

  const newFolder = await onlyOf(dir.path);
  const newModel = await open(newFolder);
  const models = new Map([
    ["a", oldModel],
    ["a@1", newModel],
  ]);
  const folders = new Map([
    ["a", oldFolder],
    ["a@1", newFolder],
  ]);
  preparer.replace({ models, thread: prepareThreadOf(folders, limits) });
  const [ofNew, ofOld] = await Promise.all([idsOf("a@1", newModel), idsOf("a", oldModel)]);
  assert.equal(ofOld, expected);
  assert.notEqual(ofNew, expected);
  // Opened in the thread, it stays what it was, whatever becomes of its files.
  notOpened.length = 0;
  await put(tokenizer);
  assert.equal(await idsOf("a@1", newModel), ofNew);
  // Work that is under way when its version goes keeps it.
  const late = idsOf("a@1", newModel);
  preparer.replace({ models: new Map(), thread: { models: new Map() } });
  assert.equal(await late, ofNew);
  assert.deepEqual(notOpened, []);
});

test("defect: a pipeline that loads later does not take another version's files for those that were read", async () => {
  await using dir = await TempDir.make();
  const path = dir.file("m.onnx");
  await writeFile(path, identityGraph("FP32", ["n", 2]));
  const { version } = await onlyOf(dir.path);
  const request = { modelDir: path, threads: 1, rowsMax: 4, weightsCache: null, ...version };
  const events = { onRun() {}, onOutcomes() {} };
  await (await loadEngine(request, events)).release();
  const twice = graphBytes({
    nodes: [{ opType: "Add", input: ["x", "x"], output: ["y"] }],
    inputs: [{ name: "x", type: "FP32", shape: ["n", 2] }],
    outputs: [{ name: "y", type: "FP32", shape: ["n", 2] }],
  });
  await replaceFile(path, twice);
  await assert.rejects(loadEngine(request, events), {
    // No fault of the folder: it is served once it was read again.
    code: "not_ready",
    message: /changed since it was read/,
  });
});

test("--preload: what help says of its words is what they do", () => {
  const { help } = optionTable.preload;
  const words = help.match(/\b(?:auto|none|all)\b(?=[,:]| or)/g) ?? [];
  assert.deepEqual(words.toSorted(), ["all", "auto", "none"]);
  assert.match(help, /keeps for good: all, none, or their names with commas between/);
  assert.match(help, /auto: as many as fit, which make room/);
  assert.deepEqual(optionTable.preload.default, { value: "auto" });
  const keeps = Object.fromEntries(
    ["auto", "none", "all", "a", "b,a", " b , a ", "b", "pin", "All"].map((word) => [
      word,
      keepOf(word, "a"),
    ]),
  );
  assert.deepEqual(keeps, {
    auto: "preloaded",
    none: "on-demand",
    all: "pinned",
    a: "pinned",
    "b,a": "pinned",
    " b , a ": "pinned",
    b: "on-demand",
    pin: "on-demand",
    All: "on-demand",
  });
  // No other word is one: it is a name, which must be there at the start, and is named where it went.
  for (const word of ["auto", "none", "all", "a", "a,a"]) checkNames(word, ["a"]);
  for (const word of ["pin", "All", "a,", "a,b"])
    assert.throws(() => checkNames(word, ["a"]), { code: "option_invalid" }, word);
  assert.deepEqual(missingOf("b,a,b", ["a"]), ["b"]);
  assert.deepEqual(missingOf("all", []), []);
});

test("callers are told names within the folder of models, and routes stay routes", () => {
  const told = new ToldPaths({ models: "/srv/house/models", cacheDir: "/var/cache/house" });
  const folder = {
    dir: "/srv/house/models/en-zh",
    reason: "/srv/house/models/en-zh/weights.bin is missing",
  };
  assert.deepEqual(told.folder(folder), { dir: "en-zh", reason: "en-zh/weights.bin is missing" });
  const own = { dir: "/srv/house/models", reason: "/srv/house/models does not exist" };
  assert.deepEqual(told.folder(own), { dir: "models", reason: "models does not exist" });
  assert.equal(told.text("/var/cache/house/weights-v1/3f is full"), "…/weights-v1/3f is full");
  assert.equal(told.text("see /v1/models/reload"), "see /v1/models/reload");
  const given = new ToldPaths({ models: "models", cacheDir: "/c" });
  assert.equal(given.text("models/a: bad; see /v1/models/reload"), "a: bad; see /v1/models/reload");
  assert.equal(
    given.text("Load model from models/a/g.onnx failed"),
    "Load model from a/g.onnx failed",
  );
  const root = new ToldPaths({ models: "/", cacheDir: "/" });
  assert.equal(root.text("/v1/models"), "/v1/models");
});
