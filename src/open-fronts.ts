/** The fronts of a server, each with what it may see: those that are spoken, and those whose routes durable jobs ask. */
import type { ModelsReload } from "millrace-client/wire";
import { amongServers } from "./access/deployment-access.js";
import type { Entrance } from "./access/entrance.js";
import { GuardedSubmit } from "./access/guarded-submit.js";
import type { Backend } from "./backend/backend.js";
import { callRouteOf } from "./front/call-route.js";
import type { Front, FrontParts, OpenFront } from "./front/front.js";
import { openNatsFront } from "./front/nats/nats.js";
import { openApiDocument } from "./front/openapi.js";
import type { CallRoute, Jobs } from "./jobs/jobs.js";
import { frontsOfRole, publicFronts } from "./listeners.js";
import type { Log } from "./log.js";
import type { Metrics } from "./metrics/metrics.js";
import type { StatusFeed } from "./metrics/status-feed.js";
import { chosenFronts, type FrontName } from "./options/front-names.js";
import type { Options } from "./options/options.js";
import type { Profiles } from "./profile/profiles.js";
import type { Tracer } from "./tracing/tracer.js";
import { version } from "./version.js";

export interface FrontsParts {
  /** All that there are; `--fronts` chooses. */
  readonly known: Readonly<Record<FrontName, OpenFront>>;
  readonly options: Options;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly tracer: Tracer;
  readonly entrance: Entrance;
  readonly backend: Omit<Backend, "start" | "drain" | "stop">;
  /** Null where none are kept. */
  readonly jobs: Jobs | null;
  readonly terminate: () => void;
  readonly feed: StatusFeed;
  readonly profiles: Profiles;
}

interface OpenedFronts {
  readonly spoken: readonly Front[];
  /** Of them and, spoken or not, of those whose words jobs are in. */
  readonly callRoute: CallRoute;
}

/** Those in whose words a line of a job may be. */
const jobsFronts: readonly FrontName[] = ["native", "openai"];

export function openFronts(parts: FrontsParts): OpenedFronts {
  const { known, options, metrics, log, tracer, backend } = parts;
  const chosen = chosenFronts(options.fronts);
  // Options are read before there is a server: what they say of fronts is right.
  if ("problem" in chosen) throw new Error(chosen.problem);
  const seen = frontPartsOf(parts, () => opened);
  const opened: readonly Front[] = chosen.names.map((name) => known[name](seen));
  const unspoken = jobsFronts
    .filter((name) => !chosen.names.includes(name))
    .map((name) => known[name](seen));
  const callRoute = callRouteOf({
    fronts: [...opened, ...unspoken].flatMap(({ http }) => http ?? []),
    paths: new Set(["/v1/embeddings", ...seen.tasks.map(({ name }) => `/v1/${name}`)]),
    log,
    tracer,
  });
  if (options.nats === null || backend.node === undefined) return { spoken: opened, callRoute };
  // What comes from others of the deployment is done here, and not sent on.
  const own = new GuardedSubmit(backend.node.submit);
  const spoken = frontsOfRole([...opened, openNatsFront({ submit: own, metrics })], options);
  return { spoken, callRoute };
}

function frontPartsOf(
  { options, metrics, entrance, backend, jobs, terminate, feed, profiles }: FrontsParts,
  opened: () => readonly Front[],
): FrontParts {
  let description: string | null = null;
  const openApi = (): string => {
    description ??= JSON.stringify(openApiDocument(publicFronts(opened(), entrance), version));
    return description;
  };
  const { views, repository, recorder } = backend;
  return {
    submit: new GuardedSubmit(
      backend.submit,
      options.nats === null ? entrance.access : amongServers(entrance.access),
    ),
    views,
    tasks: [...backend.submit.tasks].map(([name, form]) => ({ ...form, name })),
    options,
    metrics,
    reload: (): Promise<ModelsReload> => backend.reload(),
    terminate,
    openApi,
    feed,
    renewed: (caller) => entrance.access.renewed(caller),
    profiles,
    ...(jobs !== null && { jobs }),
    ...(repository !== undefined && { repository }),
    ...(recorder !== undefined && { recorder }),
  };
}
