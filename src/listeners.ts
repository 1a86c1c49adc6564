/** Whatever the fronts speak over, listened on: all of it, or nothing. */
import type { Entrance } from "./access/entrance.js";
import type { Front } from "./front/front.js";
import type { GrpcListenerParts } from "./listen/grpc/listener.js";
import { adminPart, nodePart, publicPart } from "./listen/http/admin-routes.js";
import type { HttpFront } from "./listen/http/http-front.js";
import { InProcessListener } from "./listen/http/in-process.js";
import { type HttpListener, startHttpListener } from "./listen/http/listener.js";
import { identificationOf } from "./listen/identification.js";
import { startNatsListener } from "./listen/nats/listener.js";
import type { RunningListener } from "./listen/running-listener.js";
import { WebSockets } from "./listen/websocket/websockets.js";
import { startZmqListener } from "./listen/zmq/listener.js";
import type { Log } from "./log.js";
import type { Metrics } from "./metrics/metrics.js";
import type { NatsLink } from "./nats/connection.js";
import { isLoopback } from "./options/loopback.js";
import type { Options } from "./options/options.js";
import { originsOf } from "./options/origins.js";
import type { Tracer } from "./tracing/tracer.js";
import type { ServerViews } from "./work/views.js";

export interface ListenerParts {
  readonly options: Options;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly tracer: Tracer;
  readonly entrance: Entrance;
  readonly views: ServerViews;
  /** Null: a server for itself. */
  readonly link: NatsLink | null;
}

export interface Listeners {
  /** Null where there are callers in this process only. */
  readonly http: HttpListener | null;
  /** Null where operators have no port of their own. */
  readonly admin: HttpListener | null;
  /** For callers in this process. */
  readonly inProcess: InProcessListener;
  /** These three among them. */
  readonly all: readonly RunningListener[];
}

/** @throws the error of the first that could not listen; none does then. */
export async function openListeners(
  fronts: readonly Front[],
  parts: ListenerParts,
): Promise<Listeners> {
  const { admin: adminEntrance } = parts.entrance;
  const http = listenHttp(fronts, parts);
  const admin = adminEntrance === null ? null : listenForAdmin(fronts, parts, adminEntrance);
  const elsewhere = listenElsewhere(fronts, parts);
  const listening = await allOrNone([http, ...(admin === null ? [] : [admin]), ...elsewhere]);
  const inProcess = listenInProcess(fronts, parts);
  return { http: await http, admin: await admin, inProcess, all: [...listening, inProcess] };
}

/** Of a server that callers in this process have for themselves: it takes no port. */
export function openWithoutPorts(fronts: readonly Front[], parts: ListenerParts): Listeners {
  const inProcess = listenInProcess(fronts, parts);
  return { http: null, admin: null, inProcess, all: [inProcess] };
}

function listenInProcess(
  fronts: readonly Front[],
  { options, metrics, log, tracer, views }: ListenerParts,
): InProcessListener {
  return new InProcessListener({
    fronts: overHttp(fronts),
    identification: identificationOf(views.identity),
    bodyBytesMax: options.bodyBytesMax,
    metrics,
    log,
    tracer,
  });
}

export async function closeListeners({ all }: Listeners): Promise<void> {
  await Promise.all(all.map((each) => each.close()));
}

async function allOrNone(
  starting: readonly Promise<RunningListener>[],
): Promise<readonly RunningListener[]> {
  const settled = await Promise.allSettled(starting);
  const listening = settled.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  const failed = settled.find((each) => each.status === "rejected");
  if (failed === undefined) return listening;
  await Promise.all(listening.map((each) => each.close()));
  throw failed.reason;
}

async function listenHttp(
  fronts: readonly Front[],
  { entrance, options, metrics, log, tracer, views }: ListenerParts,
): Promise<HttpListener> {
  const { host, access, tls } = entrance;
  const upgrades = new WebSockets({
    fronts: fronts.flatMap(({ webSocket }) => webSocket ?? []),
    limits: options,
    metrics,
    log,
    tracer,
    access,
  });
  return await startHttpListener({
    fronts: atLeastOne(publicFronts(fronts, entrance)),
    identification: identificationOf(views.identity),
    limits: { ...options, host },
    metrics,
    log,
    tracer,
    access,
    tls,
    origins: originsOf(options.corsOrigins),
    ownHosts: ownHosts(options.host, { host, access, options }),
    upgrades,
  });
}

async function listenForAdmin(
  fronts: readonly Front[],
  { options, metrics, log, tracer, views }: ListenerParts,
  { host, port, access, tls }: NonNullable<Entrance["admin"]>,
): Promise<HttpListener> {
  return await startHttpListener({
    fronts: atLeastOne(overHttp(fronts).map(adminPart)),
    identification: identificationOf(views.identity),
    limits: { ...options, host, port },
    metrics,
    log,
    tracer,
    access,
    tls,
    ownHosts: ownHosts(options.adminHost, { host, access, options }),
  });
}

/** `asked`: as the option has it; null where keys, or something in front of the server, keep strangers out. */
function ownHosts(
  asked: string,
  { host, access, options }: Pick<Entrance, "host" | "access"> & Pick<ListenerParts, "options">,
): readonly string[] | null {
  const isOpen = access.isOpen && !options.insecure && isLoopback(host);
  return isOpen ? [asked.toLowerCase()] : null;
}

/** What a server of this role speaks: a node over HTTP what health and operation need, and nothing else but NATS. */
export function frontsOfRole(
  fronts: readonly Front[],
  { role }: Pick<Options, "role">,
): readonly Front[] {
  if (role !== "node") return fronts;
  return fronts.map(({ http, nats }) => {
    return { ...(http && { http: nodePart(http) }), ...(nats && { nats }) };
  });
}

/** As they are at the port of everybody. */
export function publicFronts(
  fronts: readonly Front[],
  { admin }: Pick<Entrance, "admin">,
): readonly HttpFront[] {
  return admin === null ? overHttp(fronts) : overHttp(fronts).map(publicPart);
}

function overHttp(fronts: readonly Front[]): readonly HttpFront[] {
  return fronts.flatMap(({ http }) => http ?? []);
}

function atLeastOne(fronts: readonly HttpFront[]): readonly [HttpFront, ...HttpFront[]] {
  const [first, ...others] = fronts;
  if (first === undefined) throw new Error("no front speaks over HTTP");
  return [first, ...others];
}

function listenElsewhere(
  fronts: readonly Front[],
  { options, entrance, metrics, log, tracer, views, link }: ListenerParts,
): Promise<RunningListener>[] {
  const { access, host, tls, admin } = entrance;
  const wired = { metrics, log, tracer, access };
  const starting: Promise<RunningListener>[] = fronts.flatMap(({ zmq }) =>
    zmq === undefined ? [] : [startZmqListener({ ...wired, limits: options, front: zmq })],
  );
  if (link !== null) {
    for (const { nats: front } of fronts) {
      if (front === undefined) continue;
      const nats = startNatsListener({ front, link, limits: options, metrics, log, tracer });
      starting.push(Promise.resolve(nats));
    }
  }
  const { grpcPort: port } = options;
  if (port === null) return starting;
  const grpc = listenForGrpc(fronts, {
    ...wired,
    port,
    limits: { ...options, host },
    tls,
    identification: identificationOf(views.identity),
    hasAdminMethods: admin === null,
  });
  return [...starting, grpc];
}

/** Its packages are loaded where it is spoken only: every other start, and every command, would wait for them. */
async function listenForGrpc(
  spoken: readonly Front[],
  parts: Omit<GrpcListenerParts, "fronts">,
): Promise<RunningListener> {
  const { startGrpcListener } = await import("./listen/grpc/listener.js");
  const fronts = await Promise.all(spoken.flatMap(({ grpc }) => grpc?.() ?? []));
  return await startGrpcListener({ ...parts, fronts });
}
