/** What the front of the page says over HTTP. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startEcho } from "../support/echo-server.js";
import { Keys } from "../support/keys.js";

test("the page, its assets, and their headers", async () => {
  await using echo = await startEcho();
  const reply = await fetch(`${echo.server.url}/`);
  assert.equal(reply.status, 200);
  assert.equal(reply.headers.get("content-type"), "text/html; charset=utf-8");
  const policy = reply.headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'.*connect-src 'self'.*frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
  assert.equal(reply.headers.get("x-content-type-options"), "nosniff");
  assert.equal(reply.headers.get("referrer-policy"), "no-referrer");
  assert.equal(reply.headers.get("cache-control"), "no-cache");
  const html = await reply.text();
  const assets = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path = ""]) => path);
  assert.ok(assets.filter((path) => path.startsWith("page/")).length === 3);
  assert.ok(
    assets.every((path) => !/^(\/|https?:)/.test(path)),
    "relative, whatever stands before",
  );
  for (const path of assets.filter((each) => each.startsWith("page/"))) {
    const asset = await fetch(`${echo.server.url}/${path}`);
    assert.equal(asset.status, 200);
    assert.match(asset.headers.get("cache-control") ?? "", /immutable/);
    assert.ok((await asset.arrayBuffer()).byteLength > 100);
  }
  const etag = reply.headers.get("etag") ?? "";
  const known = await fetch(`${echo.server.url}/`, { headers: { "if-none-match": etag } });
  assert.deepEqual([known.status, await known.text()], [304, ""]);
  const head = await fetch(`${echo.server.url}/`, { method: "HEAD" });
  assert.equal(head.headers.get("content-length"), String(Buffer.byteLength(html)));
  assert.equal((await fetch(`${echo.server.url}/page/..%2fserver.js`)).status, 404);
  assert.equal(
    (await fetch(`${echo.server.url}/`, { method: "POST", body: "{}" })).status === 200,
    false,
  );
});

test("with a port for operators it is there, where its data are, and needs no key itself", async () => {
  await using keys = await Keys.make();
  await using echo = await keys.serve({ adminPort: 0, fronts: "native,page" });
  assert.equal((await fetch(`${echo.server.url}/`)).status, 404);
  assert.equal((await fetch(`${echo.server.adminUrl}/`)).status, 200);
});

test("a front that is named before it wins the path, and where it is not named it is not there", async () => {
  await using tei = await startEcho({ fronts: "tei,page" });
  assert.notEqual(
    (await fetch(`${tei.server.url}/`)).headers.get("content-type"),
    "text/html; charset=utf-8",
  );
  await using none = await startEcho({ fronts: "native" });
  assert.equal((await fetch(`${none.server.url}/`)).status, 404);
});
