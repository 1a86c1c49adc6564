/**
 * The rooms of the house and their floors: the one table that says who may import whom. walls.test.ts holds the real
 * imports against it, and plants a breach in every wall.
 *
 * A file may import from its own room and from rooms on lower floors. Rooms on one floor never import each other, and
 * neither do the siblings inside a room that keeps them apart.
 */
export interface Room {
  /** A folder, or a single file. */
  readonly path: string;
  readonly floor: number;
  /** Its folders are strangers to each other: one protocol, one task, one implementation of a seam each. */
  readonly siblingsApart?: true;
  /** Runs anywhere: no `node:` module and no package is imported. */
  readonly pure?: true;
  /** Narrower than its floor: the only rooms that it imports. */
  readonly only?: readonly string[];
}

export const rooms: readonly Room[] = [
  // In the browser; it sees of the server what it is told, and how a look is made of it.
  {
    path: "page",
    floor: 9,
    only: ["client/src", "client/src/wire", "src/metrics"],
  },
  { path: "src/cli", floor: 9 },
  { path: "src/index.ts", floor: 8 },
  { path: "src/open.ts", floor: 7.5 },
  { path: "src/server.ts", floor: 7 },
  { path: "src/opened-parts.ts", floor: 6.6 },
  { path: "src/open-fronts.ts", floor: 6.6 },
  { path: "src/listeners.ts", floor: 6.5 },
  { path: "src/front", floor: 6, siblingsApart: true },
  { path: "src/backend", floor: 6 },
  { path: "src/listen", floor: 5, siblingsApart: true },
  { path: "src/jobs", floor: 5, siblingsApart: true },
  { path: "src/access", floor: 4.5 },
  // It replays what came through the door: above that, and below the commands.
  { path: "src/plan", floor: 4.5 },
  { path: "src/submit", floor: 4, siblingsApart: true },
  { path: "src/convert", floor: 4 },
  { path: "src/trial", floor: 4 },
  { path: "src/tasks", floor: 3, siblingsApart: true },
  { path: "src/worker", floor: 3 },
  { path: "src/runtime", floor: 3 },
  // The rules of both levels on a virtual clock: above the engines' choosing, below whoever plans with it.
  { path: "src/simulation", floor: 3.5 },
  { path: "src/log.ts", floor: 3 },
  { path: "src/prepare", floor: 2 },
  { path: "src/frames", floor: 2, only: ["src/work", "client/src/wire"] },
  { path: "src/options", floor: 2 },
  { path: "src/scheduler", floor: 1, pure: true, only: ["src/work", "client/src/wire"] },
  { path: "src/doctor", floor: 1, pure: true, only: ["src/work", "client/src/wire"] },
  { path: "src/models", floor: 1 },
  { path: "src/hub", floor: 1 },
  { path: "src/metrics", floor: 1 },
  { path: "src/tracing", floor: 1 },
  { path: "src/profile", floor: 1 },
  { path: "src/record", floor: 1 },
  // Above what it is framed with, below whoever speaks over it.
  { path: "src/nats", floor: 2.5 },
  // The vocabulary, and what is smaller than a room: everybody may use them.
  { path: "src/work", floor: 0.5 },
  { path: "src/platform", floor: 0.7, only: ["src/work"] },
  { path: "src/log-output.ts", floor: 0.8 },
  { path: "src/near-miss.ts", floor: 0 },
  { path: "src/version.ts", floor: 0 },
  { path: "client/src", floor: 0, pure: true, only: ["client/src/wire"] },
  { path: "client/src/wire", floor: -1, pure: true, only: [] },
];

/** Packages, and modules of Node, that are loaded in few places only, so that these know their ways. */
export const keptPackages: Readonly<Record<string, readonly string[]>> = {
  // Its library is called through koffi; what it makes for JavaScript is for tests and benchmarks to compare with.
  "onnxruntime-node": [],
  koffi: ["src/runtime/native/ort-api.ts", "src/platform/death-signal.ts"],
  "@fastify/busboy": ["src/front/multipart.ts"],
  sharp: ["src/runtime/pictures.ts"],
  "@huggingface/tokenizers": ["src/prepare/text/huggingface-tokenizers.ts"],
  "@grpc/grpc-js": ["src/listen/grpc"],
  "@grpc/reflection": ["src/listen/grpc/reflection.ts"],
  "prom-client": ["src/metrics/metrics.ts"],
  protobufjs: [
    "src/convert/onnx/schema.ts",
    "src/convert/reading/sentencepiece-schema.ts",
    "src/front/inference-v2/proto-file.ts",
  ],
  commander: ["src/cli"],
  "cli-progress": ["src/cli", "src/convert"],
  "@opentelemetry/api": ["src/tracing/otlp-tracer.ts"],
  "@opentelemetry/exporter-trace-otlp-proto": ["src/tracing/otlp-tracer.ts"],
  "@opentelemetry/resources": ["src/tracing/otlp-tracer.ts"],
  "@opentelemetry/sdk-trace": ["src/tracing/otlp-tracer.ts"],
  pino: ["src/log.ts"],
  lmdb: ["src/jobs/lmdb"],
  "@nats-io/transport-node": ["src/nats"],
  "@nats-io/jetstream": ["src/nats", "src/jobs/jetstream"],
  "@nats-io/kv": ["src/nats"],
  "@nats-io/obj": ["src/nats"],
  zeromq: ["src/listen/zmq/sockets.ts"],
  ws: ["src/listen/websocket"],
  yauzl: ["src/convert/reading/torch-archive.ts"],
  // Sockets are the listeners': no front opens one. The others speak to workers, read certificates or look at addresses.
  "node:http": ["src/listen"],
  "node:https": ["src/listen"],
  "node:http2": ["src/listen"],
  "node:net": [
    "src/listen",
    "src/runtime",
    "src/worker",
    "src/options/loopback.ts",
    // A socket that nobody speaks over: the lock of a folder.
    "src/jobs/lmdb/folder-lock.ts",
  ],
  "node:tls": ["src/listen", "src/access/tls-files.ts"],
  "node:dgram": ["src/listen"],
};
