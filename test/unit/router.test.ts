import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpFront, Route } from "#src/listen/http/http-front.js";
import { pathOf, Router } from "#src/listen/http/router.js";

function front(name: string, paths: readonly string[], pathPrefixes: readonly string[]): HttpFront {
  const routes = paths.map((line): Route => {
    const [method = "", path = ""] = line.split(" ");
    return { path, method: method as Route["method"], handler: () => {} };
  });
  return {
    name,
    routes,
    pathPrefixes,
    renderError: () => ({ status: 500, contentType: "text/plain", body: name }),
  };
}

const router = new Router([
  front("native", ["POST /v1/translate", "GET /v1/models"], []),
  front(
    "inference",
    [
      "POST /v2/models/{m}/infer",
      "GET /v2/models/{m}",
      "POST /v2/models/{m}/versions/{v}/infer",
      "GET /v2/models/ready",
      "POST /v1/models",
    ],
    ["/v2/"],
  ),
  front("page", ["GET /page/*", "GET /page/{name}/raw", "GET /page/index"], ["/page"]),
]);

/** `front METHOD path {params}`, or `front code allow`. */
function find(method: string, path: string): string {
  const found = router.find(method, path);
  if ("error" in found) return `${found.front.name} ${found.error.code} ${found.allow ?? "-"}`;
  const params = JSON.stringify(found.params);
  return `${found.front.name} ${found.route.method} ${found.route.path} ${params}`;
}

const cases: readonly (readonly [method: string, path: string, found: string])[] = [
  ["POST", "/v1/translate", "native POST /v1/translate {}"],
  ["HEAD", "/v1/models", "native GET /v1/models {}"],
  ["POST", "/v1/models", "inference POST /v1/models {}"],
  ["DELETE", "/v1/models", "native method_not_allowed GET, HEAD, POST"],
  ["POST", "/v2/models/en-zh/infer", 'inference POST /v2/models/{m}/infer {"m":"en-zh"}'],
  ["POST", "/v2/models/a%2Fb/infer", 'inference POST /v2/models/{m}/infer {"m":"a/b"}'],
  ["GET", "/v2/models/ready", "inference GET /v2/models/ready {}"],
  ["GET", "/v2/models/other", 'inference GET /v2/models/{m} {"m":"other"}'],
  [
    "POST",
    "/v2/models/a/versions/1/infer",
    'inference POST /v2/models/{m}/versions/{v}/infer {"m":"a","v":"1"}',
  ],
  ["GET", "/v2/models/a/infer", "inference method_not_allowed POST"],
  ["POST", "/v2/models//infer", "inference not_found -"],
  ["POST", "/v2/models/%zz/infer", "inference not_found -"],
  ["GET", "/v2/models/a/", "inference not_found -"],
  ["GET", "/v2/nothing", "inference not_found -"],
  ["GET", "/page/a/b.css", 'page GET /page/* {"rest":"a/b.css"}'],
  ["GET", "/page/", 'page GET /page/* {"rest":""}'],
  ["GET", "/page/index", "page GET /page/index {}"],
  ["GET", "/page/x/raw", 'page GET /page/{name}/raw {"name":"x"}'],
  ["GET", "/page", "page not_found -"],
  ["GET", "/nowhere", "native not_found -"],
  ["GET", "/", "native not_found -"],
];
for (const [method, path, found] of cases) {
  test(`${method} ${path} → ${found}`, () => assert.equal(find(method, path), found));
}

test("what two fronts answer is the one's that stands first; one front cannot answer it twice", () => {
  const one = front("one", ["GET /a/{x}"], []);
  const other = front("other", ["GET /a/{y}", "POST /a/{y}"], []);
  const router = new Router([one, other]);
  assert.equal(router.find("GET", "/a/b").front, one);
  assert.equal(router.find("POST", "/a/b").front, other);
  const twice = front("twice", ["GET /a/{x}", "GET /a/{y}"], []);
  assert.throws(() => new Router([twice]), /twice answers GET \/a\/\{y\} twice/);
});

test("a path is what stands before the query, also in the absolute form", () => {
  assert.equal(pathOf("http://host:1/a/b?c=/d#e"), "/a/b");
  assert.equal(pathOf("http://host"), "/");
  assert.equal(pathOf("/a%3Fb?c"), "/a%3Fb");
});
