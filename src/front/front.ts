/**
 * READ FIRST. The seam of fronts: a front speaks one protocol. It turns bytes into requests for `submit` and back, and nothing
 * else: it calls down, and never reads a socket. Its folder knows no other front; server.ts has the list of all.
 */
import type { ModelsReload } from "millrace-client/wire";
import type { Access } from "../access/access.js";
import type { GuardedSubmit } from "../access/guarded-submit.js";
import type { Jobs } from "../jobs/jobs.js";
import type { GrpcFront } from "../listen/grpc/grpc-front.js";
import type { HttpFront } from "../listen/http/http-front.js";
import type { NatsFront } from "../listen/nats/nats-front.js";
import type { WebSocketFront } from "../listen/websocket/websocket-front.js";
import type { ZmqFront } from "../listen/zmq/zmq-front.js";
import type { Metrics } from "../metrics/metrics.js";
import type { StatusFeed } from "../metrics/status-feed.js";
import type { Options } from "../options/options.js";
import type { Profiles } from "../profile/profiles.js";
import type { Recorder } from "../record/recorder.js";
import type { ModelRepository } from "../work/model-repository.js";
import type { TaskForm } from "../work/task-form.js";
import type { ServerViews } from "../work/views.js";

/** Opens a front; called once, before the listeners start. */
export type OpenFront = (parts: FrontParts) => Front;

/** What it speaks over; each is served by the listener of that name. */
export interface Front {
  readonly http?: HttpFront;
  readonly zmq?: ZmqFront;
  readonly webSocket?: WebSocketFront;
  /** Opened where it is listened on: its messages need a library that every other start would wait for. */
  readonly grpc?: () => Promise<GrpcFront>;
  readonly nats?: NatsFront;
}

export interface FrontParts {
  readonly submit: GuardedSubmit;
  readonly views: ServerViews;
  readonly tasks: readonly FrontTask[];
  readonly options: Options;
  /** Looks at the folder of models again; absent where there is none. */
  readonly reload?: () => Promise<ModelsReload>;
  /** Stops the server as a signal would: what it has is finished first. */
  readonly terminate?: () => void;
  /** OpenAPI, of all fronts that are spoken; asked once they are open. Absent: nobody knows. */
  readonly openApi?: () => string;
  /** Absent where the server keeps no durable jobs. */
  readonly jobs?: Jobs;
  /** Absent where there is no folder of models. */
  readonly repository?: ModelRepository;
  readonly metrics: Pick<Metrics, "requestFinished" | "scrape" | "contentTypeOf">;
  /** See `Access`: for what lasts longer than a key may. Absent where nobody is asked for one. */
  readonly renewed?: Access["renewed"];
  /** Absent where nobody keeps one. */
  readonly feed?: StatusFeed;
  /** Absent where nobody takes any. */
  readonly profiles?: Profiles;
  /** Absent where nothing can be recorded: there are no pipelines. */
  readonly recorder?: Recorder;
}

export interface FrontTask extends TaskForm {
  /** As it stands in routes and in `SubmitRequest.task`. */
  readonly name: string;
}
