/** Into which folders `models pull` writes, and over what: a hub with several repositories, and folders of all kinds. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { finish } from "../support/finish.js";
import { serveHttp } from "../support/http-server.js";
import { hubListing } from "../support/hub-listing.js";
import { type PullOptions, pullRepository } from "../support/pull-repository.js";
import { millrace } from "../support/serve-process.js";
import { TempDir } from "../support/temp-dir.js";

interface Version {
  readonly commit: string;
  readonly files: Readonly<Record<string, string>>;
  /** It is in the list, and cannot be had. */
  readonly lost?: string;
}

const first: Version = {
  commit: "1".repeat(40),
  files: { "config.json": '{"of":"first"}', "vocab.txt": "one", "model.safetensors": "weights 1" },
};
const second: Version = {
  commit: "2".repeat(40),
  files: { "config.json": '{"of":"second"}', "model.safetensors": "weights 2" },
};

/** `NAME@REVISION` of each. */
async function serveRepositories(versions: Record<string, Version>) {
  return await serveHttp(({ request, response }) => {
    const path = decodeURIComponent(request.url ?? "");
    const [, name, revision] = /^\/api\/models\/(.+)\/revision\/([^?]+)/.exec(path) ?? [];
    const listed = versions[`${name}@${revision}`];
    if (listed !== undefined) {
      const files = Object.entries(listed.files).map(([file, text]) => [file, Buffer.from(text)]);
      return void response.end(hubListing(listed.commit, Object.fromEntries(files)));
    }
    const [, commit, file = ""] = /\/resolve\/([0-9a-f]{40})\/(.+)$/.exec(path) ?? [];
    const held = Object.values(versions).find((each) => each.commit === commit);
    const text = held?.files[file];
    if (text === undefined || held?.lost === file) return void response.writeHead(404).end();
    response.end(text);
  });
}

/** A folder to pull into. */
async function makePlace(versions: Record<string, Version>) {
  const hub = await serveRepositories(versions);
  const temp = await TempDir.make();
  const dir = join(temp.path, "made");
  return {
    dir,
    hub,
    pull: async (name: string, options: PullOptions = {}) =>
      await pullRepository(hub.url, dir, { name, ...options }),
    texts: async (): Promise<Record<string, string>> => {
      const names = (await readdir(dir)).filter((name) => name !== ".millrace-pull.json");
      const texts = names.map(async (name) => [name, await readFile(join(dir, name), "utf8")]);
      return Object.fromEntries(await Promise.all(texts));
    },
    [Symbol.asyncDispose]: async () => {
      await hub[Symbol.asyncDispose]();
      await temp[Symbol.asyncDispose]();
    },
  };
}

const refused = (message: RegExp) => ({ code: "output_exists", message });

test("defect: pull wrote over the files of another repository; it is refused, and --replace takes its place whole", async () => {
  await using place = await makePlace({ "org/first@main": first, "org/second@main": second });
  await place.pull("org/first");
  const { err, code } = await finish(
    spawn(process.execPath, [millrace, "models", "pull", "org/second", "--out", place.dir], {
      env: { ...process.env, HF_ENDPOINT: place.hub.url, HF_TOKEN: "" },
    }),
  );
  assert.match(err, /^output_exists: .*\/made holds org\/first at main of http:.*\n/);
  assert.match(err, /\n--out DIR names another folder; --replace writes over what is there\.\n$/);
  assert.equal(code, 1);
  assert.deepEqual(await place.texts(), first.files);
  await place.pull("org/second", { replace: true });
  assert.deepEqual(
    await place.texts(),
    second.files,
    "nothing of the first is left to be mixed in",
  );
  await place.pull("org/second");
});

test("defect: pull wrote over a file of one's own, in a folder that no pull has made", async () => {
  await using place = await makePlace({ "org/first@main": first });
  await mkdir(place.dir);
  await writeFile(join(place.dir, "config.json"), "mine");
  await writeFile(join(place.dir, "notes.md"), "mine too");
  await assert.rejects(
    place.pull("org/first"),
    refused(/made holds what no pull has put there: config\.json, notes\.md$/),
  );
  assert.deepEqual(await place.texts(), { "config.json": "mine", "notes.md": "mine too" });
  await place.pull("org/first", { replace: true });
  assert.deepEqual(await place.texts(), { ...first.files, "notes.md": "mine too" });
});

test("defect: pull wrote over what was changed since the last pull", async () => {
  await using place = await makePlace({ "org/first@main": first });
  await place.pull("org/first");
  await writeFile(join(place.dir, "config.json"), "mine");
  await assert.rejects(
    place.pull("org/first"),
    refused(/made\/config\.json is not as it was pulled: /),
  );
  assert.equal((await place.texts())["config.json"], "mine");
  await place.pull("org/first", { replace: true });
  assert.deepEqual(await place.texts(), first.files);
});

test("a branch that has moved is brought up to date: what changed comes, what is gone goes, one's own files stay", async () => {
  const versions: Record<string, Version> = { "org/first@main": first };
  await using place = await makePlace(versions);
  await place.pull("org/first");
  await writeFile(join(place.dir, "notes.md"), "mine");
  versions["org/first@main"] = { ...second, files: { ...second.files, "vocab.json": "{}" } };
  await place.pull("org/first");
  assert.deepEqual(await place.texts(), {
    ...second.files,
    "vocab.json": "{}",
    "notes.md": "mine",
  });
});

for (const lost of Object.keys(second.files)) {
  test(`an update that broke off at ${lost} is gone on with, whatever of it has come`, async () => {
    const versions: Record<string, Version> = { "org/first@main": first };
    await using place = await makePlace(versions);
    await place.pull("org/first");
    versions["org/first@main"] = { ...second, lost };
    await assert.rejects(place.pull("org/first"), { code: "model_not_found" });
    versions["org/first@main"] = second;
    await place.pull("org/first");
    assert.deepEqual(await place.texts(), second.files);
  });
}

test("another revision is refused, but by the name of a tag with the same commit or from a mirror it is the same", async () => {
  await using place = await makePlace({
    "org/first@main": first,
    "org/first@v1": first,
    "org/first@v2": second,
  });
  await place.pull("org/first");
  await assert.rejects(
    place.pull("org/first", { revision: "v2" }),
    refused(/made holds org\/first at main of /),
  );
  await rm(join(place.dir, "vocab.txt"));
  await using mirror = await serveRepositories({ "org/first@v1": first });
  await pullRepository(mirror.url, place.dir, { name: "org/first", revision: "v1" });
  assert.deepEqual(await place.texts(), first.files);
});

test("attack: a mirror that calls other files the same commit writes over nothing", async () => {
  await using place = await makePlace({ "org/first@main": first });
  await place.pull("org/first");
  await using mirror = await serveRepositories({
    "org/first@main": { commit: first.commit, files: second.files },
  });
  await assert.rejects(
    pullRepository(mirror.url, place.dir, { name: "org/first" }),
    refused(/made holds org\/first at main of /),
  );
  assert.deepEqual(await place.texts(), first.files);
});
