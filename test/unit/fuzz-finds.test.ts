/** What `npm run fuzz` found, each as the shortest input that shows it. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { MillraceError } from "millrace-client/wire";
import { readMultipart } from "#src/front/multipart.js";
import { parseManifest } from "#src/models/read-manifest.js";
import { TextTokenizer } from "#src/prepare/text/text-tokenizer.js";
import { parseJson } from "#src/work/json-object.js";
import { TestFront } from "../support/http-front.js";
import { writeMadeEncoder } from "../support/made-encoder.js";
import { TempDir } from "../support/temp-dir.js";

function refusal(code: string, says: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof MillraceError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, says);
    return true;
  };
}

const form = { contentType: "multipart/form-data; boundary=b", filesMax: 4 };

function partOf(disposition: string): Buffer {
  return Buffer.from(`--b\r\nContent-Disposition: form-data${disposition}\r\n\r\nx\r\n--b--\r\n`);
}

test("defect: a form's field without a name is the caller's mistake, and no error of the server", async () => {
  const refused = refusal("bad_request", /a field without a name/);
  await assert.rejects(readMultipart(partOf(""), form), refused);
  const { files } = await readMultipart(partOf('; filename="a.png"'), form);
  assert.deepEqual(files, [{ name: "", bytes: Buffer.from("x") }], "a file needs none");
});

test("defect: a tokenizer with an id of two thousand million is refused, and holds the server for no minutes", async () => {
  await using dir = await TempDir.make();
  const path = `${await writeMadeEncoder(dir.file("m"))}/tokenizer.json`;
  const good = await readFile(path, "utf8");
  const open = async (text: string): Promise<TextTokenizer> => {
    await writeFile(path, text);
    return await TextTokenizer.open({ path, unknownTokenId: null });
  };
  for (const [from, to] of [
    ['"id":0', '"id":2147483647'],
    ['"hello":4', '"hello":2147483647'],
    ['"hello":4', '"hello":-1'],
    ['"id":1', '"id":1.5'],
    ['"id":1', '"id":"1"'],
  ] as const) {
    assert.ok(good.includes(from));
    const says = /tokenizer\.json is no tokenizer .*ids are integers from 0 to 2000000/;
    await assert.rejects(open(good.replace(from, to)), refusal("model_folder_invalid", says), to);
  }
  assert.deepEqual((await open(good)).encodePlain("hello"), [4]);
});

test("defect: a manifest whose version is a thousand lists in each other is refused as any other", () => {
  const nested: unknown = JSON.parse("[".repeat(20_000) + "]".repeat(20_000));
  assert.throws(
    () => parseManifest("millrace.json", { manifestVersion: nested }),
    refusal("model_folder_invalid", /manifestVersion a list; this Millrace reads/),
  );
});

test("defect: packets behind a WebSocket's frame that is refused do not end the server", async () => {
  await using front = await TestFront.start();
  const socket = await front.raw();
  const key = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
  const head = `GET /v1/stream HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n${key}`;
  socket.send(`${head}\r\n\r\n`);
  await socket.until(/101 Switching Protocols/);
  // Each of them takes the library a turn, in which the next packets come and wait.
  const pong = Buffer.of(0x8a, 0x80, 1, 2, 3, 4);
  socket.send(Buffer.concat(Array.from({ length: 2_000 }, () => pong)));
  const noUtf8 = Buffer.of(0x81, 0x84, 1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff);
  for (let packet = 0; packet < 6; packet += 1) {
    // Apart: what comes together is one chunk, and a chunk alone was never wrong.
    await delay(1);
    socket.send(noUtf8);
  }
  await socket.closed();
  assert.equal((await fetch(`${front.url}/live`)).status, 200);
});

test("defect: a list in lists in lists, over ZeroMQ or to the repository of models, held the event loop while it was parsed", () => {
  const nested = `${"[".repeat(1_000_000)}${"]".repeat(1_000_000)}`;
  assert.throws(() => parseJson(nested), { code: "bad_request" });
  const many = `[${"[],".repeat(200_000)}[]]`;
  const shape = { depthMax: 4, keysMax: 16, listsMax: 131_072, keepsDigits: false };
  assert.throws(() => parseJson(many, shape), { code: "bad_request" });
  assert.deepEqual(parseJson('["a", ["b"]]', shape), ["a", ["b"]]);
});

test("defect: a tokenizer.json that is a thousand lists in lists was no folder at fault, but a bug", async () => {
  await using dir = await TempDir.make();
  const encoder = await writeMadeEncoder(dir.file("encoder"));
  const path = `${encoder}/tokenizer.json`;
  const good = await readFile(path, "utf8");
  const deep = `${"[".repeat(5_000)}${"]".repeat(5_000)}`;
  await writeFile(path, good.replace(/^\{/, `{"extra": ${deep},`));
  await assert.rejects(
    TextTokenizer.open({ path, unknownTokenId: 1 }),
    refusal("model_folder_invalid", /nests deeper than 64/),
  );
});
