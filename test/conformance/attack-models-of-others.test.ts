/** Every route of every protocol over HTTP, asked with no key, a wrong one and one for a single model: none tells of another model. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { MillraceServer } from "#src/index.js";
import { Keys } from "../support/keys.js";
import { writeMadeEncoder } from "../support/made-encoder.js";
import { startReady } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

let temp: TempDir;
let keys: Keys;
let server: MillraceServer;
let key: string;

/** In no other word of any reply. */
const other = "hushed";

before(async () => {
  temp = await TempDir.make();
  keys = await Keys.make();
  key = await keys.add("shop", { models: ["mine"] });
  await writeMadeEncoder(temp.file("mine"));
  await writeMadeEncoder(temp.file(other));
  server = await start();
});

after(async () => {
  await server.close();
  await keys[Symbol.asyncDispose]();
  await temp[Symbol.asyncDispose]();
});

async function start(more: object = {}): Promise<MillraceServer> {
  const options = { models: temp.path, keys: keys.path, adminPort: 0, bertHttp: true };
  return await startReady({ ...options, ...more });
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly types: readonly string[];
  readonly isOpen: boolean;
}

interface Operation {
  readonly security: readonly object[];
  readonly requestBody?: { readonly content: object };
}

async function everyRoute(url: string): Promise<readonly Asked[]> {
  const response = await fetch(`${url}/openapi.json`);
  const { paths } = (await response.json()) as {
    paths: Record<string, Record<string, Operation>>;
  };
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { requestBody, security }]) => ({
      method: method.toUpperCase(),
      path: path.replaceAll(/\{(model|rest)\}/g, other).replace("{version}", "1"),
      types: Object.keys(requestBody?.content ?? {}),
      isOpen: security.length === 0,
    })),
  );
}

const bodies: readonly object[] = [
  {},
  { model: other, texts: ["a"] },
  { model: other, input: "a" },
  { inputs: "a" },
  { inputs: ["hello"], truncate: true },
  { ids: [[2, 4]] },
  { query: "a", texts: ["b"] },
  { id: 1, texts: ["a"] },
  { model: `${other}x`, texts: ["a"] },
  { text: ["a"], target_lang: "DE" },
];

async function tell(
  url: string,
  { method, path, types }: Asked,
  headers: Readonly<Record<string, string>>,
) {
  const told: { status: number; text: string }[] = [];
  const withBody = types.includes("application/json") ? bodies : [undefined];
  for (const body of withBody) {
    const init = { method, headers: { ...headers, "content-type": "application/json" } };
    const sent = body === undefined ? init : { ...init, body: JSON.stringify(body) };
    const response = await fetch(`${url}${path}`, sent);
    const text = `${JSON.stringify([...response.headers])} ${await response.text()}`;
    // What the caller said is no secret.
    const own = body === undefined ? path : path + JSON.stringify(body);
    told.push({ status: response.status, text: own.includes(other) ? hideEcho(text) : text });
  }
  return told;
}

/** Errors show the name that was asked for; a list, a state or a number of it they must not have. */
function hideEcho(text: string): string {
  return text
    .replaceAll(/(there is no model|The model|Model|model) (\\*")?hushedx?(\\*")?/gi, "")
    .replaceAll(/\/(v1|v2|models|pipeline)\/[\w/]*hushed/g, "");
}

test("defect: a key for one model hears of no other, on any route of any protocol", async () => {
  const routes = await everyRoute(server.url);
  assert.ok(routes.length > 40, String(routes.length));
  for (const route of routes) {
    for (const { status, text } of await tell(server.url, route, {
      authorization: `Bearer ${key}`,
    })) {
      const shown = `${route.method} ${route.path}: ${status} ${text}`;
      assert.doesNotMatch(text, new RegExp(other), shown);
      if (route.path.includes(other)) assert.ok(status >= 400, shown);
    }
  }
});

test("attack: without a key, and with a wrong one, nothing but what is open answers, and that tells of no model", async () => {
  const routes = await everyRoute(server.url);
  for (const headers of [{}, { authorization: "Bearer mr_wrong" }, { "x-api-key": "x" }]) {
    for (const route of routes) {
      for (const { status, text } of await tell(server.url, route, headers)) {
        const shown = `${route.method} ${route.path}: ${status} ${text}`;
        if (!route.isOpen) assert.ok(status === 401 || status === 403, shown);
        assert.doesNotMatch(text, /hushed|mine/, shown);
      }
    }
  }
});

test("defect: a protocol's own model, by an option, is not named to a key that it is not for", async () => {
  await using named = await start({ teiModel: other, bertModel: other });
  for (const [path, body] of [
    ["/embed", { inputs: "a" }],
    ["/tokenize", { inputs: "a" }],
    ["/predict", { inputs: "a" }],
    ["/info", null],
    ["/encode", { id: 1, texts: ["a"] }],
    ["/status/server", null],
  ] as const) {
    const response = await fetch(`${named.url}${path}`, {
      method: body === null ? "GET" : "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      ...(body === null ? {} : { body: JSON.stringify(body) }),
    });
    assert.doesNotMatch(await response.text(), /hushed/, path);
  }
});
