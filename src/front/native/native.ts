/**
 * READ FIRST of this folder. The native front, `POST /v1/<task>` and its neighbours: Millrace's own words over HTTP,
 * defined in client/src/wire.
 *
 *   files.ts         a file, or a form with files (../multipart.ts) → a JSON object
 *   body-kind.ts     what a body is; ../read-question.ts: the object → a question
 *   task-route.ts    ask → one JSON reply, or a line for each input as it is ready
 *   job-routes.ts    durable jobs
 *   profile-routes.ts what a thread of it does
 *   record-route.ts  what arrives, to whoever records it
 *   status-events.ts what the server does, to whoever looks on
 */
import type {
  MillraceError,
  ModelsResponse,
  NodeStatus,
  ReadyResponse,
} from "millrace-client/wire";
import { jobStoreStatus, wholeStatus } from "../../jobs/whole-status.js";
import type { Exchange, HttpFront, Reply, Route } from "../../listen/http/http-front.js";
import type { StatusFeed } from "../../metrics/status-feed.js";
import { mayUse } from "../../work/caller.js";
import { modelsOf } from "../callers-models.js";
import type { Front, FrontParts } from "../front.js";
import { jsonReply } from "../json-reply.js";
import { listedModel } from "../listed-model.js";
import { accepts } from "../media-type.js";
import { ownError, ownErrorSchema } from "../own-error.js";
import { readyHead } from "../reply-heads.js";
import { jobRoutes } from "./job-routes.js";
import { profileRoutes } from "./profile-routes.js";
import { recordRoute } from "./record-route.js";
import { nativeDocs, openMetricsType } from "./route-docs.js";
import { sendStatusEvents } from "./status-events.js";
import { taskRoute } from "./task-route.js";

export function openNativeFront(parts: FrontParts): Front {
  return { http: new NativeFront(parts) };
}

class NativeFront implements HttpFront {
  readonly name = "native";
  readonly routes: readonly Route[];
  /** What nobody else answers is answered here: it is the first of the list. */
  readonly pathPrefixes: readonly string[] = [];
  readonly errorSchema = ownErrorSchema;
  readonly #parts: FrontParts;

  constructor(parts: FrontParts) {
    this.#parts = parts;
    const { views, metrics, feed } = parts;
    const memory = (
      path: string,
      { access, doc }: Required<Pick<Route, "access" | "doc">>,
      handler: Route["handler"],
    ): Route => {
      return { path, method: "GET", access, doc, fromMemory: true, handler };
    };
    const { openApi } = parts;
    const docs = nativeDocs;
    this.routes = [
      ...parts.tasks.map((task) => taskRoute(task, parts)),
      {
        path: "/v1/models",
        method: "GET",
        doc: docs.models,
        handler: (exchange) => this.#models(exchange),
      },
      ...(parts.reload === undefined ? [] : [reloadRoute(parts.reload)]),
      ...(parts.profiles === undefined ? [] : profileRoutes(parts.profiles)),
      ...(parts.recorder === undefined ? [] : [recordRoute(parts.recorder)]),
      ...jobRoutes(parts),
      memory("/live", { access: "open", doc: docs.live }, (exchange) => {
        exchange.reply(jsonReply(200, { live: true, deployment: views.identity }));
      }),
      memory("/ready", { access: "open", doc: docs.ready }, (exchange) => {
        const whole = views.ready();
        const mine = whole.models.filter(({ model }) => mayUse(exchange.caller, model));
        const { state, reason } = jobStoreStatus(parts.jobs ?? null);
        const body: ReadyResponse = { ...whole, models: mine, jobs: { state, reason } };
        // Not an error reply: the body says which pipelines are missing and why.
        const { status, headers } = readyHead(body.ready);
        exchange.reply(jsonReply(status, body, headers));
      }),
      memory("/status", { access: "admin", doc: docs.status }, (exchange) =>
        exchange.reply(jsonReply(200, wholeStatus(views, parts.jobs ?? null))),
      ),
      ...(feed === undefined ? [] : [statusEventsRoute({ ...parts, feed })]),
      ...(views.nodes === undefined
        ? []
        : [
            memory("/v1/nodes", { access: "admin", doc: docs.nodes }, (exchange) => {
              const body = { ...views.nodes?.(), deployment: views.identity };
              exchange.reply(jsonReply(200, body));
            }),
          ]),
      memory("/metrics", { access: "admin", doc: docs.metrics }, async (exchange) => {
        const nodes = (): readonly NodeStatus[] => views.nodes?.().nodes ?? [];
        const format = accepts(exchange, openMetricsType) ? "openmetrics" : "prometheus";
        const body = await metrics.scrape(() => views.status(), nodes, format);
        exchange.reply({ status: 200, contentType: metrics.contentTypeOf(format), body });
      }),
      ...(openApi === undefined
        ? []
        : [
            {
              ...memory("/openapi.json", { access: "open", doc: docs.openApi }, (exchange) =>
                exchange.reply(jsonReply(200, openApi())),
              ),
              isPublicOnly: true,
            },
          ]),
    ];
  }

  renderError(error: MillraceError, id: string): Reply {
    return ownError(error, id, this.#parts.views);
  }

  #models(exchange: Exchange): void {
    const { views } = this.#parts;
    const models = modelsOf(views, exchange.caller);
    const data = models.map(listedModel);
    const body: ModelsResponse = { object: "list", data, models, deployment: views.identity };
    exchange.reply(jsonReply(200, body));
  }
}

function statusEventsRoute(
  parts: Pick<FrontParts, "renewed"> & { readonly feed: StatusFeed },
): Route {
  return {
    path: "/status/events",
    method: "GET",
    access: "admin",
    isHeld: true,
    doc: nativeDocs.statusEvents,
    handler: async (exchange) => await sendStatusEvents(exchange, parts),
  };
}

function reloadRoute(reload: NonNullable<FrontParts["reload"]>): Route {
  return {
    path: "/v1/models/reload",
    method: "POST",
    access: "admin",
    doc: nativeDocs.reload,
    handler: async (exchange) => exchange.reply(jsonReply(200, await reload())),
  };
}
