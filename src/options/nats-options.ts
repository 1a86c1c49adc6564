/** Options of a server that is a node of a deployment. */
import type { OptionRows } from "./definition.js";

export interface NatsOptions {
  /** URLs with commas between; null: a server for itself. */
  readonly nats: string | null;
  readonly role: "both" | "edge" | "node";
  /** What its subjects, buckets and streams begin with: several deployments may share one NATS. */
  readonly natsPrefix: string;
  readonly natsCredentials: string | null;
  readonly natsCa: string | null;
  readonly natsCert: string | null;
  readonly natsKey: string | null;
  readonly natsReplicas: number;
  /** `all`, or names with commas between; null: models come from folders only. */
  readonly natsModels: string | null;
}

const nats = { group: "NATS", hashed: false } as const;

export const natsOptions: OptionRows<NatsOptions> = {
  nats: {
    type: "text",
    ...nats,
    help: "NATS servers with JetStream that join this server to others of its deployment: `nats://10.0.0.1:4222`, several with commas between; `tls://` for TLS, `user:password@` or `token@` before the host.",
    default: { value: null },
  },
  role: {
    type: "choice",
    choices: ["both", "edge", "node"],
    ...nats,
    help: "An `edge` has fronts and no pipelines; a `node` has pipelines, and of the fronts what health and operation need; `both` has all.",
    default: { value: "both" },
  },
  natsPrefix: {
    type: "name",
    ...nats,
    help: "What this deployment's subjects, streams and buckets begin with; letters, digits, dashes and underscores.",
    default: { value: "millrace" },
  },
  natsCredentials: {
    type: "path",
    what: "file",
    ...nats,
    help: "File of credentials (`.creds`), or an nkey's seed.",
    default: { value: null },
  },
  natsCa: {
    type: "path",
    what: "file",
    ...nats,
    help: "Certificates, in PEM, of whom the NATS servers' certificates are believed to be from.",
    default: { value: null },
  },
  natsCert: {
    type: "path",
    what: "file",
    ...nats,
    help: "This server's certificate for NATS, in PEM; together with nats-key.",
    default: { value: null },
  },
  natsKey: {
    type: "path",
    what: "file",
    ...nats,
    help: "The certificate's private key, in PEM and not encrypted.",
    default: { value: null },
  },
  natsReplicas: {
    type: "integer",
    unit: "servers",
    min: 1,
    max: 5,
    ...nats,
    help: "On how many NATS servers each stream and bucket is kept, where this server makes it.",
    default: { value: 1 },
  },
  natsModels: {
    type: "text",
    ...nats,
    help: "Models that are fetched from where `millrace models push` put them, and served beside those of models: all, or some with commas between, `en-de,minilm@2`; a name means all its versions. What is fetched is kept in cache-dir.",
    default: { value: null },
  },
};
