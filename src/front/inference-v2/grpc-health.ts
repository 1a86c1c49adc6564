/**
 * grpc.health.v1: of the server, of the protocol's service, and of each model by its name; from memory. The first two tell nothing of
 * models and are open; a model is told of to who may know of it.
 */
import { MillraceError } from "millrace-client/wire";
import type { GrpcCall, GrpcMessage, GrpcService } from "../../listen/grpc/grpc-front.js";
import { type Caller, nobody } from "../../work/caller.js";
import type { ServerViews } from "../../work/views.js";
import { modelsOf } from "../callers-models.js";
import { healthProto } from "./inference-proto.js";
import { ProtoFile } from "./proto-file.js";

const proto = new ProtoFile("grpc/health/v1/health.proto", healthProto);
const questionBytesMax = 4 * 1024;
/** How late a change may be told to whoever watches. */
const lookAgainMs = 250;

type Status = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";

export function grpcHealth(
  views: Pick<ServerViews, "ready" | "models">,
  serviceName: string,
): GrpcService {
  const statusOf = (service: string, caller: Caller): Status => {
    const isServer = service === "" || service === serviceName;
    if (!isServer && caller === nobody) {
      throw new MillraceError("unauthenticated", "This server asks for a key.");
    }
    const model = modelsOf(views, caller).find(({ name }) => name === service);
    if (!isServer && model === undefined) return "SERVICE_UNKNOWN";
    const isReady = views.ready().ready && (isServer || model?.ready === true);
    return isReady ? "SERVING" : "NOT_SERVING";
  };
  return {
    name: "grpc.health.v1.Health",
    file: () => proto.bytes,
    methods: [
      {
        name: "Check",
        access: "open",
        kind: "unary",
        messageBytesMax: questionBytesMax,
        answer: async ({ caller }, message) => {
          const service = serviceIn(message);
          const status = statusOf(service, caller);
          if (status !== "SERVICE_UNKNOWN") return await Promise.resolve(replyOf(status));
          const shown = JSON.stringify(service.slice(0, 128));
          throw new MillraceError("model_not_found", `there is no service or model ${shown}`);
        },
      },
      {
        name: "Watch",
        kind: "server-stream",
        messageBytesMax: questionBytesMax,
        stream: async (call, message, replies) => {
          const service = serviceIn(message);
          let told: Status | null = null;
          for (;;) {
            const isLast = call.draining.aborted;
            const now = isLast ? "NOT_SERVING" : statusOf(service, call.caller);
            if (now !== told) await replies.write(replyOf(now));
            told = now;
            if (isLast || call.departed.aborted) return;
            await anotherLook(call);
          }
        },
      },
    ],
  };
}

function serviceIn(message: GrpcMessage): string {
  const { service } = proto.decode("HealthCheckRequest", message.bytes);
  message.release();
  return typeof service === "string" ? service : "";
}

function replyOf(status: Status): Uint8Array {
  return proto.encode("HealthCheckResponse", { status });
}

/** Sooner where the caller leaves or the server drains. */
async function anotherLook({ departed, draining }: GrpcCall): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      departed.removeEventListener("abort", done);
      draining.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, lookAgainMs);
    departed.addEventListener("abort", done, { once: true });
    draining.addEventListener("abort", done, { once: true });
    if (departed.aborted || draining.aborted) done();
  });
}
