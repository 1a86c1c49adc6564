/** The store of models, on a real NATS server: what is pushed comes back, and what is half, damaged or hostile does not. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { fetchModel, whatIsWrong } from "#src/nats/fetch-model.js";
import { ModelBucket } from "#src/nats/model-bucket.js";
import { filesSha256, type ModelRecord, parseName, parseRecord } from "#src/nats/model-record.js";
import { pushModel } from "#src/nats/push-model.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { TempDir } from "../support/temp-dir.js";

const skip = skipWithoutNats;
const { signal } = new AbortController();
let nats: NatsServer;
let connection: NatsConnection;
let buckets = 0;

before(async () => {
  if (skip !== false) return;
  nats = await NatsServer.start();
  connection = await connect({ servers: nats.url });
});
after(async () => {
  if (skip !== false) return;
  await connection.close();
  await nats[Symbol.asyncDispose]();
});

/** A store of the test's own. */
async function open(): Promise<{ readonly bucket: ModelBucket; readonly prefix: string }> {
  buckets += 1;
  const prefix = `test${buckets}`;
  return { bucket: await ModelBucket.open(connection, { prefix, replicas: 1 }), prefix };
}

async function folder(
  dir: string,
  files: Readonly<Record<string, string | Buffer>>,
): Promise<string> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(join(dir, path, ".."), { recursive: true });
    await writeFile(join(dir, path), content);
  }
  return dir;
}

const push = (bucket: ModelBucket, dir: string, as: string): ReturnType<typeof pushModel> =>
  pushModel(bucket, { dir, ...parseName(as), signal });

test("a folder comes back as it was, and what two versions share is sent once", {
  skip,
}, async () => {
  const { bucket } = await open();
  await using dir = await TempDir.make();
  const weights = randomBytes(300_000);
  const files = { "a.onnx": weights, "sub/b.txt": "b", "empty.txt": "", "same.txt": "b" };
  const one = await folder(dir.file("one"), { ...files, ".hidden": "no" });
  const two = await folder(dir.file("two"), { ...files, "c.txt": "c" });
  const first = await push(bucket, one, "m@1");
  assert.deepEqual([first.isNew, first.sentFiles, first.sentBytes], [true, 3, 300_001]);
  const second = await push(bucket, two, "m@2");
  assert.deepEqual([second.isNew, second.sentFiles, second.sentBytes], [true, 1, 1]);
  const again = await push(bucket, one, "m@1");
  assert.deepEqual([again.isNew, again.sentFiles], [false, 0]);
  await assert.rejects(push(bucket, two, "m@1"), { code: "output_exists" });
  const byContents = await push(bucket, one, "m");
  assert.equal(byContents.record.version, byContents.record.sha256.slice(0, 12));
  const target = dir.file("back");
  const seen: number[] = [];
  // Another's, and what a process left that is gone.
  await mkdir(dir.file(".back.new-draft"));
  await mkdir(dir.file(".back.new-4194305-0123abcd"));
  await fetchModel(bucket, await bucket.record({ name: "m", version: "1" }), {
    target,
    signal,
    onProgress: (bytes) => seen.push(bytes),
  });
  assert.deepEqual((await readdir(target, { recursive: true })).toSorted(), [
    "a.onnx",
    "empty.txt",
    "same.txt",
    "sub",
    "sub/b.txt",
  ]);
  assert.deepEqual(await readFile(join(target, "a.onnx")), weights);
  assert.equal(seen.at(-1), 300_002);
  assert.equal(await whatIsWrong(first.record, target), null);
  await writeFile(join(target, "sub/b.txt"), "B");
  assert.match((await whatIsWrong(first.record, target)) ?? "", /sub\/b\.txt was changed/);
  await assert.rejects(fetchModel(bucket, first.record, { target, signal }), {
    code: "output_exists",
  });
  assert.deepEqual(await readdir(dir.path), [".back.new-draft", "back", "one", "two"]);
});

test("what a name means moves by compare and set, back as well, and is not removed", {
  skip,
}, async () => {
  const { bucket } = await open();
  await using dir = await TempDir.make();
  for (const version of ["1", "2"])
    await push(
      bucket,
      await folder(dir.file(version), { f: version, shared: "s" }),
      `m@${version}`,
    );
  const of = (version: string): { name: string; version: string } => ({ name: "m", version });
  assert.equal(await bucket.defaultOf("m"), null);
  assert.deepEqual(await bucket.moveDefault(of("1"), null), { from: null });
  assert.deepEqual(await bucket.moveDefault(of("2"), "1"), { from: "1" });
  await assert.rejects(bucket.moveDefault(of("1"), "1"), {
    code: "output_in_use",
    message: /means 2 now/,
  });
  assert.deepEqual(await bucket.moveDefault(of("1")), { from: "2" });
  await assert.rejects(bucket.moveDefault(of("3")), { code: "model_not_found" });
  // Of many at once one wins, and the others hear who.
  const both = await Promise.allSettled([
    bucket.moveDefault(of("2"), "1"),
    bucket.moveDefault(of("2"), "1"),
  ]);
  assert.deepEqual(both.map(({ status }) => status).toSorted(), ["fulfilled", "rejected"]);
  await assert.rejects(bucket.remove(of("2")), { code: "output_in_use" });
  assert.deepEqual(await bucket.remove(of("1")), { files: 1, bytes: 1 }, "the shared file stays");
  const { record } = await push(bucket, dir.file("2"), "m@2");
  await fetchModel(bucket, record, { target: dir.file("back"), signal });
  assert.deepEqual(
    await bucket.remove(of("2")),
    { files: 2, bytes: 2 },
    "the last one may go, and takes all with it",
  );
  assert.deepEqual(await bucket.list(), { records: [], defaults: new Map(), damaged: [] });
  await push(bucket, dir.file("2"), "m@2");
  assert.deepEqual(await bucket.moveDefault(of("2"), null), { from: null }, "and come back");
});

test("a push that dies leaves nothing that anybody sees, and the next one goes on from there", {
  skip,
}, async () => {
  const { bucket } = await open();
  await using dir = await TempDir.make();
  const from = await folder(dir.file("m"), { a: randomBytes(400_000), b: randomBytes(400_000) });
  const ending = new AbortController();
  const dying = pushModel(bucket, {
    dir: from,
    name: "m",
    version: "1",
    signal: ending.signal,
    onProgress: (sent, all) => {
      if (sent > all / 2) ending.abort(new Error("it died"));
    },
  });
  await assert.rejects(dying);
  assert.deepEqual((await bucket.list()).records, []);
  await assert.rejects(bucket.record({ name: "m", version: "1" }), { code: "model_not_found" });
  const { sentFiles } = await push(bucket, from, "m@1");
  assert.equal(sentFiles, 1, "what was there whole was not sent again");
});

test("a file that is damaged, cut or gone in the store is refused by name, and nothing is left of the fetch", {
  skip,
}, async () => {
  const { bucket, prefix } = await open();
  await using dir = await TempDir.make();
  const from = await folder(dir.file("m"), { "weights.bin": randomBytes(300_000), small: "s" });
  const { record } = await push(bucket, from, "m@1");
  const [file] = record.files.filter(({ path }) => path === "weights.bin");
  assert.ok(file !== undefined);
  const js = jetstream(connection);
  const jsm = await jetstreamManager(connection);
  const objects = await new Objm(js).open(`${prefix}-model-files`);
  const damages: readonly (readonly [RegExp, () => Promise<unknown>])[] = [
    [
      /weights\.bin .*pieces/,
      async () => {
        const info = await objects.info(file.sha256);
        const chunk = `$O.${prefix}-model-files.C.${info?.nuid ?? ""}`;
        return await jsm.streams.purge(`OBJ_${prefix}-model-files`, { filter: chunk, keep: 1 });
      },
    ],
    [/weights\.bin is damaged/, () => objects.putBlob({ name: file.sha256 }, randomBytes(300_000))],
    [
      /weights\.bin .*has 5 bytes and should have 300000/,
      () => objects.putBlob({ name: file.sha256 }, Buffer.from("other")),
    ],
    [/weights\.bin .*is not there/, () => objects.delete(file.sha256)],
  ];
  for (const [says, damage] of damages) {
    await damage();
    const target = dir.file("back");
    await assert.rejects(fetchModel(bucket, record, { target, signal }), {
      code: "model_folder_invalid",
      message: says,
    });
    assert.deepEqual(await readdir(dir.path), ["m"]);
    // The cure that the message names.
    assert.equal((await push(bucket, from, "m@1")).sentFiles, 1);
    await fetchModel(bucket, record, { target: dir.file("whole", String(says)), signal });
    await rm(dir.file("whole"), { recursive: true });
  }
});

test("a hostile record leads nowhere: paths out of the folder, sizes, lists that do not fit", {
  skip,
}, async () => {
  const { bucket, prefix } = await open();
  await using dir = await TempDir.make();
  const { record } = await push(bucket, await folder(dir.file("m"), { a: "a" }), "m@1");
  const kv = await new Kvm(jetstream(connection)).open(`${prefix}-models`);
  const [a] = record.files;
  assert.ok(a !== undefined);
  const made = (files: readonly object[], others: object = {}): string => {
    const all = files as ModelRecord["files"];
    return JSON.stringify({
      ...record,
      version: "evil",
      files,
      sha256: filesSha256(all),
      ...others,
    });
  };
  const hostile = [
    ...[
      "../a",
      "/etc/passwd",
      "x/../../a",
      "x/.ssh",
      ".a",
      "",
      "a\\b",
      "a\0",
      "x//a",
      `${"d/".repeat(9)}a`,
    ].map((path) => made([{ ...a, path }])),
    made([a, a]),
    made([]),
    made([{ ...a, bytes: -1 }]),
    made([{ ...a, bytes: 2 ** 60 }]),
    made([a], { sha256: "0".repeat(64) }),
    made([a], { version: "1" }),
    made(Array.from({ length: 1_001 }, (_, at) => ({ ...a, path: `f${at}` }))),
    "{",
    "null",
  ];
  for (const text of hostile) {
    await kv.put("model/m/evil", text);
    await assert.rejects(bucket.record({ name: "m", version: "evil" }), {
      code: "model_folder_invalid",
      message: /m@evil/,
    });
    const { records, damaged } = await bucket.list();
    assert.deepEqual([records.length, damaged.map(({ name }) => name)], [1, ["m@evil"]]);
  }
  // Right by its form, and more than any disk has: said before a byte is fetched.
  await kv.put("model/m/evil", made([{ ...a, bytes: 2 ** 44 }]));
  const huge = await bucket.record({ name: "m", version: "evil" });
  await assert.rejects(fetchModel(bucket, huge, { target: dir.file("huge"), signal }), {
    code: "output_failed",
    message: /are free/,
  });
  assert.deepEqual(await readdir(dir.path), ["m"]);
});

test("defect: who removes a version while another is pushed with the same files takes none of them away", {
  skip,
}, async () => {
  const { bucket } = await open();
  await using dir = await TempDir.make();
  const from = await folder(dir.file("m"), { a: "shared", b: "too" });
  for (let round = 0; round < 10; round += 1) {
    const old = await push(bucket, from, `old${round}@1`);
    const [, pushed] = await Promise.all([
      bucket.remove(old.record),
      push(bucket, from, `new${round}@1`),
    ]);
    await fetchModel(bucket, pushed.record, { target: dir.file("back", String(round)), signal });
    await bucket.remove(pushed.record);
  }
});

test("a folder that is none is refused before anything is sent", { skip }, async () => {
  const { bucket } = await open();
  await using dir = await TempDir.make();
  await assert.rejects(push(bucket, dir.file("nowhere"), "m@1"), { code: "model_folder_invalid" });
  await mkdir(dir.file("empty"));
  await assert.rejects(push(bucket, dir.file("empty"), "m@1"), /has no file/);
  await folder(dir.file("round"), { "a/b": "b" });
  await symlink("..", dir.file("round", "a", "up"));
  await assert.rejects(push(bucket, dir.file("round"), "m@1"), /too deep/);
  assert.deepEqual((await bucket.list()).records, []);
});

test("names of models and versions", () => {
  assert.deepEqual(parseName("en-zh"), { name: "en-zh", version: null });
  assert.deepEqual(parseName("en-zh@2.1"), { name: "en-zh", version: "2.1" });
  for (const wrong of [
    "",
    "@",
    "a@",
    "@1",
    "a@b@c",
    "a/b",
    ".a",
    "a.",
    "a..b",
    "a b",
    "../a@1",
    "x".repeat(101),
  ]) {
    assert.throws(() => parseName(wrong), { code: "option_invalid" });
  }
  assert.throws(() => parseRecord({ name: "m", version: "1" }, "[]"), {
    code: "model_folder_invalid",
  });
});

test("there is no store until somebody pushes", { skip }, async () => {
  assert.equal(await ModelBucket.find(connection, "nobody"), null);
  const { bucket, prefix } = await open();
  assert.notEqual(await ModelBucket.find(connection, prefix), null);
  assert.equal((await bucket.state())?.revision, 0);
});

test("defect: a file whose name no store takes was told of when all had been sent, as a record that is to be removed", {
  skip,
}, async () => {
  const { bucket } = await open();
  await using dir = await TempDir.make();
  const from = await folder(dir.file("m"), { "a.onnx": "a", "b\\c.txt": "b" });
  await assert.rejects(push(bucket, from, "m@1"), {
    code: "model_folder_invalid",
    message: `${join(from, "b\\c.txt")} has a name that the store does not take: no backslash, 512 characters with its folders at most`,
  });
});
