/** Every route, and how a request finds its handler. */
import { headerNames, MillraceError, type ModelsResponse } from "millrace-client/wire";
import type { HttpContext } from "./context.js";
import { checkExpectation } from "./deployment.js";
import type { Exchange } from "./exchange.js";
import { translate } from "./translate.js";

type Handler = (exchange: Exchange, context: HttpContext) => void | Promise<void>;

interface Route {
  readonly path: string;
  /** `GET` answers `HEAD` too. */
  readonly method: "GET" | "POST";
  readonly handler: Handler;
}

const routes: readonly Route[] = [
  { path: "/v1/translate", method: "POST", handler: translate },
  { path: "/v1/models", method: "GET", handler: models },
  { path: "/live", method: "GET", handler: live },
  { path: "/ready", method: "GET", handler: ready },
  { path: "/status", method: "GET", handler: status },
  { path: "/metrics", method: "GET", handler: metrics },
];

/** @throws MillraceError what a handler throws, and `deployment_mismatch`, `not_found`, `method_not_allowed`. */
export async function route(exchange: Exchange, context: HttpContext): Promise<void> {
  const { request, response } = exchange;
  // Before anything else: a caller that reached the wrong deployment must not learn it from a missing route.
  const expected = request.headers[headerNames.expect];
  if (typeof expected === "string") checkExpectation(expected, context.views.identity);
  const path = pathOf(request.url ?? "/");
  const found = routes.find((candidate) => candidate.path === path);
  if (found === undefined) {
    const shown = JSON.stringify(path.slice(0, 128));
    const known = routes.map((candidate) => candidate.path).join(", ");
    throw new MillraceError("not_found", `There is no route ${shown}; there are ${known}.`);
  }
  exchange.route = found.path;
  const method = request.method === "HEAD" ? "GET" : request.method;
  if (method !== found.method) {
    const allow = found.method === "GET" ? "GET, HEAD" : found.method;
    response.setHeader("allow", allow);
    const message = `${found.path} takes ${allow}, not ${request.method ?? "nothing"}.`;
    throw new MillraceError("method_not_allowed", message);
  }
  await found.handler(exchange, context);
}

/** Without query and, where a proxy sent the absolute form, without scheme and host. */
function pathOf(url: string): string {
  return url.replace(/^https?:\/\/[^/?#]*/i, "").replace(/[?#].*$/s, "") || "/";
}

function models(exchange: Exchange, { views }: HttpContext): void {
  const body: ModelsResponse = { models: views.models(), deployment: views.identity };
  exchange.json(200, body);
}

function live(exchange: Exchange, { views, metrics: counters }: HttpContext): void {
  counters.polled(exchange.route);
  exchange.json(200, { live: true, deployment: views.identity });
}

function ready(exchange: Exchange, { views, metrics: counters }: HttpContext): void {
  counters.polled(exchange.route);
  const body = views.ready();
  // Not an error reply: the body says which pipelines are missing and why.
  exchange.json(body.ready ? 200 : 503, body, body.ready ? {} : { "retry-after": "1" });
}

function status(exchange: Exchange, { views, metrics: counters }: HttpContext): void {
  counters.polled(exchange.route);
  exchange.json(200, views.status());
}

async function metrics(exchange: Exchange, context: HttpContext): Promise<void> {
  context.metrics.polled(exchange.route);
  const body = await context.metrics.scrape(context.views.status());
  exchange.send({ status: 200, contentType: context.metrics.contentType, body });
}
