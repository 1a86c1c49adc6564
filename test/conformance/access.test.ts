/** Who may come in: keys, what each allows, and who learns what without one; over real sockets. */
import assert from "node:assert/strict";
import { chmod, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { MillraceError, type ModelsResponse } from "millrace-client/wire";
import { newKey } from "#src/access/key-file.js";
import { createLog } from "#src/log.js";
import type { Options } from "#src/options/options.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { startServer } from "#src/server.js";
import { startEcho } from "../support/echo-server.js";
import { Keys } from "../support/keys.js";

const limit = { timeout: 30_000 };

interface Told {
  readonly status: number;
  readonly code: string | null;
  readonly headers: Headers;
  readonly body: string;
}

type Sent = RequestInit & { readonly key?: string | undefined };

/** A text is the key. */
async function ask(url: string, path: string, sent: Sent | string = {}): Promise<Told> {
  const { key, ...init } = typeof sent === "string" ? { key: sent } : sent;
  const authorization = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const headers = { ...authorization, ...(init.headers as Record<string, string> | undefined) };
  const response = await fetch(`${url}${path}`, { ...init, headers });
  const body = await response.text();
  const { error } = body.startsWith("{") ? (JSON.parse(body) as { error?: { code?: string } }) : {};
  return { status: response.status, code: error?.code ?? null, headers: response.headers, body };
}

function translate(url: string, key: string | undefined, body: object): Promise<Told> {
  const headers = { "content-type": "application/json" };
  return ask(url, "/v1/translate", { key, method: "POST", headers, body: JSON.stringify(body) });
}

test(
  "who has no key is told so before the body is read, and learns of no model",
  limit,
  async () => {
    await using keys = await Keys.make();
    await keys.add("shop");
    await using echo = await keys.serve();
    const { url } = echo.server;
    for (const key of [undefined, "mr_wrong", newKey().key]) {
      for (const [method, path] of [
        ["GET", "/v1/models"],
        ["POST", "/v1/translate"],
        ["POST", "/v1/models/reload"],
        ["GET", "/status"],
        ["GET", "/metrics"],
        ["GET", "/v2/models/echo"],
        ["GET", "/v2/models/none"],
      ] as const) {
        const told = await ask(url, path, { key, method });
        assert.equal(told.status, 401, path);
        assert.equal(told.headers.get("www-authenticate"), "Bearer", path);
        assert.doesNotMatch(told.body.replace(/"deployment".*/, ""), /echo|other/, path);
      }
    }
    for (const path of ["/live", "/ready", "/v2/health/live"]) {
      assert.equal((await ask(url, path)).status, 200, path);
    }
    // The body never comes, and nobody waits for it.
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    socket.write("POST /v1/translate HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n");
    assert.match(await text(socket), /^HTTP\/1.1 401 /);
    assert.deepEqual(echo.submit.seen, []);
  },
);

test("a key comes in whatever way its protocol has", limit, async () => {
  await using keys = await Keys.make();
  const key = await keys.add("shop");
  await using echo = await keys.serve();
  const ways: readonly Record<string, string>[] = [
    { authorization: `Bearer ${key}` },
    { authorization: `bearer   ${key}` },
    { authorization: `DeepL-Auth-Key ${key}` },
    { "x-api-key": key },
    { "api-key": key },
  ];
  for (const headers of ways) {
    const told = await ask(echo.server.url, "/v1/models", { headers });
    assert.equal(told.status, 200, JSON.stringify(Object.keys(headers)));
  }
  const none: readonly Record<string, string>[] = [
    { authorization: key },
    { authorization: `Basic ${key}` },
    { authorization: `Bearer ${key}x` },
    { authorization: `Bearer ${key.slice(0, -1)}` },
    { authorization: "Bearer " },
    { cookie: key },
  ];
  for (const headers of none) {
    const told = await ask(echo.server.url, "/v1/models", { headers });
    assert.equal(told.code, "unauthenticated", JSON.stringify(headers));
  }
});

test("on loopback without keys whatever is sent is accepted, to every route", limit, async () => {
  await using echo = await startEcho();
  for (const path of ["/v1/models", "/status", "/metrics"]) {
    assert.equal((await ask(echo.server.url, path, "anything")).status, 200);
    assert.equal((await ask(echo.server.url, path)).status, 200);
  }
});

test(
  "a key has its tenant, its classes, its models; what is for operators is for keys that may",
  limit,
  async () => {
    await using keys = await Keys.make();
    const [plain, robot, one, ops] = [
      await keys.add("plain"),
      await keys.add("robot", { tenant: "*", classes: ["bulk"] }),
      await keys.add("one", { tenant: "press", models: ["other"] }),
      await keys.add("ops", { admin: true }),
    ];
    await using echo = await keys.serve();
    const { url } = echo.server;
    const codeOf = async (key: string, fields: object): Promise<string | null> =>
      (await translate(url, key, { texts: ["a"], ...fields })).code;
    const last = (): unknown => {
      const { request } = echo.submit.seen.at(-1) ?? assert.fail("nothing was submitted");
      return [request.tenant, request.class, request.models];
    };
    assert.equal(await codeOf(plain, { tenant: "press", class: "realtime" }), null);
    assert.deepEqual(last(), ["plain", "realtime", undefined], "nobody works on another's account");
    assert.equal(await codeOf(robot, { tenant: "press" }), null);
    assert.deepEqual(last(), ["press", "bulk", undefined], "its only class, its callers' tenants");
    assert.equal(await codeOf(robot, { class: "realtime" }), "forbidden");
    assert.equal(await codeOf(one, {}), null);
    assert.deepEqual(last(), ["press", null, ["other"]], "the door chooses among its own");
    assert.equal(await codeOf(one, { model: "echo" }), "forbidden");
    const unknown = await translate(url, one, { texts: ["a"], model: "secret" });
    assert.equal(unknown.code, "forbidden");
    assert.doesNotMatch(
      unknown.body.replace(/"deployment".*/, ""),
      /echo/,
      "of other models it hears nothing",
    );
    const listed = JSON.parse((await ask(url, "/v1/models", one)).body) as ModelsResponse;
    assert.deepEqual(
      listed.models.map(({ name }) => name),
      ["other"],
    );
    for (const path of ["/status", "/metrics"]) {
      assert.equal(
        (await ask(url, path, plain)).code,
        path === "/status" ? "forbidden" : "forbidden",
      );
      assert.equal((await ask(url, path, ops)).status, 200);
    }
    const reload = { method: "POST" };
    assert.equal((await ask(url, "/v1/models/reload", { key: plain, ...reload })).status, 403);
    assert.equal((await ask(url, "/v1/models/reload", { key: ops, ...reload })).status, 200);
  },
);

test(
  "a running server follows its file: a new key comes in, and one that was revoked does not, whoever has it open",
  limit,
  async () => {
    await using keys = await Keys.make();
    const old = await keys.add("shop");
    await using echo = await keys.serve();
    const { url } = echo.server;
    const fresh = await keys.add("fresh");
    await echo.logged("keys read again");
    assert.equal((await translate(url, fresh, { texts: ["a"] })).status, 200);
    echo.submit.hold();
    const inFlight = translate(url, old, { texts: ["b"] });
    await echo.submit.arrived(2);
    const from = echo.log.length;
    await keys.revoke("shop");
    await echo.logged("keys read again", from);
    assert.equal((await translate(url, old, { texts: ["c"] })).code, "unauthenticated");
    echo.submit.release();
    assert.equal((await inFlight).status, 200, "what was let in is answered");
  },
);

const damages: readonly (readonly [string, RegExp, (path: string) => Promise<void>])[] = [
  ["vanishes", /no such file/, (path) => rm(path)],
  ["is cut off", /is not JSON/, (path) => writeFile(path, '{"version": 1, "keys": [')],
  ["is emptied", /is not JSON/, (path) => writeFile(path, "")],
  ["is of another version", /version/, (path) => writeFile(path, '{"version": 2, "keys": []}')],
  ["may be written by everybody", /chmod 600/, (path) => chmod(path, 0o666)],
];

for (const [what, why, damage] of damages) {
  test(
    `a file of keys that ${what} ends no server: the keys stay, the log says why; no server starts with it`,
    limit,
    async () => {
      await using keys = await Keys.make();
      const key = await keys.add("shop");
      await using echo = await keys.serve();
      await damage(keys.path);
      const told = await echo.logged("the file of keys has changed and is not used: the keys stay");
      assert.match(String(told["why"]), why);
      assert.equal((await translate(echo.server.url, key, { texts: ["a"] })).status, 200);
      await assert.rejects(keys.serve(), (error) => {
        assert.ok(error instanceof MillraceError);
        assert.equal(error.code, "key_file_invalid");
        assert.match(error.message, why);
        assert.ok(error.message.includes(keys.path));
        return true;
      });
    },
  );
}

test(
  "a rate is refused with when to come again, and what is refused counts nothing",
  limit,
  async () => {
    await using keys = await Keys.make();
    // An hour's worth at once: no machine is so slow that the bucket fills again meanwhile.
    const burst = 3_600;
    const key = await keys.add("slow", { ratePerSecond: 1, burst });
    await using echo = await keys.serve();
    const texts = Array.from({ length: burst }, () => "a");
    const send = (more: object = {}): Promise<Told> =>
      translate(echo.server.url, key, { texts, ...more });
    echo.submit.refuseWith = new MillraceError("queue_full", "full");
    assert.equal((await send()).code, "queue_full");
    echo.submit.refuseWith = null;
    assert.equal((await send({ model: 7 })).code, "bad_request");
    assert.equal((await send()).status, 200, "nothing was counted for what was refused");
    const refused = await send();
    assert.equal(refused.code, "rate_limited");
    assert.equal(refused.status, 429);
    const seconds = Number(refused.headers.get("retry-after"));
    assert.ok(seconds > 0 && seconds <= burst, String(seconds));
    assert.equal(echo.submit.seen.length, 2, "it was refused before anything was taken");
  },
);

test(
  "a quota is kept over a restart, and requests at once do not pass it together",
  limit,
  async () => {
    await using keys = await Keys.make();
    const key = await keys.add("monthly", { quotaPerMonth: 10 });
    const sent = (url: string): Promise<Told> => translate(url, key, { texts: ["a", "b", "c"] });
    {
      await using echo = await keys.serve();
      echo.submit.hold();
      const all = Array.from({ length: 12 }, () => sent(echo.server.url));
      await echo.submit.arrived(3);
      echo.submit.release();
      const codes = (await Promise.all(all)).map(({ code }) => code);
      assert.equal(codes.filter((code) => code === null).length, 3);
      assert.equal(codes.filter((code) => code === "quota_exceeded").length, 9);
    }
    await using echo = await keys.serve();
    const { url } = echo.server;
    const refused = await sent(url);
    assert.equal(refused.code, "quota_exceeded");
    assert.match(refused.body, /has 1 left.*next month begins at \d{4}-\d{2}-01T00:00:00/);
    assert.ok(Number(refused.headers.get("retry-after")) <= 31 * 24 * 3_600);
    assert.equal(
      (await translate(url, key, { texts: ["d"] })).status,
      200,
      "what is left can be used",
    );
  },
);

test("what keys have used is never begun anew by accident", limit, async () => {
  await using keys = await Keys.make();
  await keys.add("shop");
  await writeFile(`${keys.path}.usage.json`, '{"version":1,"month":"2026-');
  await assert.rejects(
    keys.serve(),
    /usage\.json has what keys have used .* remove it to count from 0/,
  );
});

test(
  "with a port for operators their routes are there only, and nobody on this machine needs a key for them",
  limit,
  async () => {
    await using keys = await Keys.make();
    const [plain, ops] = [await keys.add("plain"), await keys.add("ops", { admin: true })];
    await using echo = await keys.serve({ adminPort: 0 });
    const { url, adminUrl } = echo.server;
    assert.ok(adminUrl !== null && adminUrl !== url);
    for (const path of ["/status", "/metrics"]) {
      for (const key of [undefined, plain, ops]) {
        assert.equal((await ask(url, path, { key })).status, 404, path);
      }
      assert.equal((await ask(adminUrl, path)).status, 200, path);
    }
    // There it is the name of a model, which may be looked at only.
    assert.equal((await ask(url, "/v1/models/reload", { key: ops, method: "POST" })).status, 405);
    assert.equal((await ask(adminUrl, "/v1/models/reload", { method: "POST" })).status, 200);
    for (const at of [url, adminUrl]) assert.equal((await ask(at, "/live")).status, 200);
    assert.equal((await translate(adminUrl, plain, { texts: ["a"] })).status, 404);
    assert.equal((await ask(adminUrl, "/v1/models", plain)).status, 404);
  },
);

test("a port for operators that others can reach asks for a key that may", limit, async () => {
  await using keys = await Keys.make();
  const [plain, ops] = [await keys.add("plain"), await keys.add("ops", { admin: true })];
  await using echo = await keys.serve({ adminPort: 0, adminHost: "0.0.0.0" });
  const { adminUrl } = echo.server;
  const at = `http://127.0.0.1:${new URL(adminUrl ?? "").port}`;
  assert.equal((await ask(at, "/status")).status, 401);
  assert.equal((await ask(at, "/status", plain)).status, 403);
  assert.equal((await ask(at, "/status", ops)).status, 200);
  assert.equal((await ask(at, "/live")).status, 200);
});

test(
  "pages are allowed by their origin, and never with a browser's credentials",
  limit,
  async () => {
    await using keys = await Keys.make();
    const key = await keys.add("page");
    await using echo = await keys.serve({
      corsOrigins: "https://app.example, http://localhost:3000",
    });
    const { url } = echo.server;
    const preflight = (origin: string, at: string = url): Promise<Told> =>
      ask(at, "/v1/translate", {
        method: "OPTIONS",
        headers: {
          origin,
          "access-control-request-method": "POST",
          "access-control-request-headers": "authorization,content-type",
        },
      });
    const allowed = await preflight("https://app.example");
    assert.equal(allowed.status, 204);
    const { headers } = allowed;
    assert.equal(headers.get("access-control-allow-origin"), "https://app.example");
    assert.equal(headers.get("access-control-allow-headers"), "authorization,content-type");
    assert.equal(headers.get("vary"), "origin");
    const of = async (origin: string, at?: string): Promise<string | null> =>
      (await preflight(origin, at)).headers.get("access-control-allow-origin");
    assert.equal(await of("http://localhost:3000"), "http://localhost:3000");
    for (const origin of ["https://app.example.evil", "http://app.example", "null", ""]) {
      assert.equal(await of(origin), null, origin);
    }
    const page = { headers: { origin: "https://app.example" } };
    // The page must be able to read why it is refused.
    for (const told of [
      await ask(url, "/v1/models", { key, ...page }),
      await ask(url, "/v1/models", page),
    ]) {
      assert.equal(told.headers.get("access-control-allow-origin"), "https://app.example");
      assert.equal(told.headers.get("access-control-allow-credentials"), null);
      assert.equal(told.headers.get("access-control-expose-headers"), "*");
    }
    await using anyPage = await startEcho({ corsOrigins: "*" });
    assert.equal(await of("https://anywhere.example", anyPage.server.url), "*");
    await using noPage = await startEcho();
    const refused = await preflight("https://app.example", noPage.server.url);
    assert.equal(refused.status, 405);
    assert.equal(refused.headers.get("access-control-allow-origin"), null);
  },
);

test(
  "no page opens a WebSocket that may not call; who is no page, and a page of the server's own, may",
  limit,
  async () => {
    await using echo = await startEcho({ corsOrigins: "https://app.example" });
    const { port, host } = new URL(echo.server.url);
    /** Whether the page is; a path may have no such connection whoever asks. */
    const isRefused = async (...fields: readonly string[]): Promise<boolean> => {
      const socket = connect(Number(port), "127.0.0.1");
      const head = ["GET /live HTTP/1.1", `host: ${host}`, "connection: close, upgrade", ...fields];
      socket.write(`${head.join("\r\n")}\r\n\r\n`);
      const [, status] = /^HTTP\/1.1 (\d+)/.exec(await text(socket)) ?? assert.fail("no reply");
      return status === "403";
    };
    const asks = "upgrade: websocket";
    assert.equal(await isRefused(asks, "origin: https://evil.example"), true);
    assert.equal(await isRefused(asks, "origin: null"), true);
    assert.equal(await isRefused(asks, `origin: http://${host}.evil.example`), true);
    assert.equal(await isRefused(asks), false);
    assert.equal(await isRefused(asks, "origin: https://app.example"), false);
    assert.equal(await isRefused(asks, `origin: http://${host}`), false);
    assert.equal(await isRefused("origin: https://evil.example"), false, "CORS hides the answer");
  },
);

function problemsOf(code: Partial<Options>): string {
  try {
    resolveConfiguration({ code: { ...code } });
  } catch (error) {
    assert.ok(error instanceof MillraceError && error.code === "option_invalid");
    return error.message;
  }
  return "";
}

test(
  "no server starts where others could come in unasked, unless that is said to be meant",
  limit,
  async () => {
    for (const host of ["0.0.0.0", "::", "10.1.2.3", "::ffff:10.0.0.1", "fe80::1"]) {
      assert.match(problemsOf({ host }), /^host is .* give --keys FILE .* --insecure/, host);
      assert.match(problemsOf({ adminHost: host, adminPort: 0 }), /^adminHost is /, host);
      assert.equal(problemsOf({ host, insecure: true }), "");
      assert.equal(problemsOf({ host, keys: "k.json" }), "");
    }
    for (const host of ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "localhost"]) {
      assert.equal(problemsOf({ host }), "", host);
    }
    // A name is looked up at the start: this one is 0.0.0.0 to every resolver.
    await assert.rejects(
      startEcho({ host: "0" }),
      /^MillraceError: --host 0 is 0\.0\.0\.0: others/,
    );
    await using echo = await startEcho({ host: "0", insecure: true });
    assert.match(echo.server.url, /0\.0\.0\.0/);
    await using named = await startEcho({ host: "localhost" });
    assert.equal((await ask(named.server.url, "/live")).status, 200);
  },
);

test("options of access that contradict each other are refused", () => {
  assert.match(problemsOf({ tlsCert: "a" }), /come together/);
  assert.match(problemsOf({ tlsKey: "a" }), /come together/);
  assert.match(problemsOf({ adminPort: 8400 }), /are both 8400/);
  for (const origins of [
    "app.example",
    "https://app.example/",
    "*, https://a.example",
    "https://a.example,",
  ]) {
    assert.match(problemsOf({ corsOrigins: origins }), /neither \* nor a list of origins/, origins);
  }
  const { warnings } = resolveConfiguration({ code: { host: "0.0.0.0", keys: "k.json" } });
  assert.match(warnings.join(), /whoever reads the network reads the keys/);
});

test("a start that fails behind the keys leaves nothing open", limit, async () => {
  await using keys = await Keys.make();
  await keys.add("shop");
  const configuration = resolveConfiguration({
    code: { port: 0, keys: keys.path, logLevel: "silent" },
  });
  const failing = startServer(configuration, {
    log: createLog({ ...configuration.options, destination: process.stdout }),
    openBackend: () => Promise.reject(new MillraceError("model_folder_invalid", "no models")),
  });
  await assert.rejects(failing, /no models/);
});

test(
  "defect: with a port for operators the description of the public port has no route of theirs",
  limit,
  async () => {
    await using echo = await startEcho({ adminPort: 0 });
    const { url, adminUrl } = echo.server;
    const { paths } = JSON.parse((await ask(url, "/openapi.json")).body) as { paths: object };
    const shared = Object.keys(paths).filter((path) => !path.includes("{"));
    assert.ok(shared.includes("/v1/translate") && shared.includes("/live"));
    for (const path of ["/status", "/metrics", "/v1/models/reload"]) {
      assert.ok(!shared.includes(path), path);
    }
    // Every route that it has is there; nothing else is said of the operators' port.
    assert.equal((await ask(adminUrl ?? "", "/openapi.json")).status, 404);
    await using together = await startEcho();
    const all = (await ask(together.server.url, "/openapi.json")).body;
    assert.match(all, /"\/status":/);
  },
);
