/** gRPC's own client, made from the definition that docs/clients publishes. */
import { readFileSync } from "node:fs";
import {
  type CallOptions,
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type ClientOptions,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { healthProto } from "#src/front/inference-v2/inference-proto.js";

type Message = Readonly<Record<string, unknown>>;

const files = [readFileSync("docs/clients/inference.proto", "utf8"), healthProto];
const root = new protobuf.Root();
for (const file of files) protobuf.parse(file, root, { keepCase: true });
root.resolveAll();

export interface Called {
  readonly reply: Message;
  readonly headers: Metadata;
}

export interface CallWith extends CallOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export class GrpcClient implements Disposable {
  readonly #client: Client;
  readonly #service: protobuf.Service;
  readonly #path: string;

  constructor(
    url: string,
    {
      service = "inference.GRPCInferenceService",
      options = {},
      channel = credentials.createInsecure(),
    }: {
      readonly service?: string;
      readonly options?: ClientOptions;
      readonly channel?: ChannelCredentials;
    } = {},
  ) {
    const max = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };
    const own = { "grpc.use_local_subchannel_pool": 1 };
    this.#client = new Client(url.replace(/^grpcs?:\/\//, ""), channel, {
      ...max,
      ...own,
      ...options,
    });
    this.#service = root.lookupService(service);
    this.#path = `/${service}`;
  }

  /** One message, one reply. Rejects with the library's `ServiceError`. */
  async call(method: string, message: Message, options: CallWith = {}): Promise<Called> {
    const { resolvedRequestType } = this.#methodOf(method);
    const bytes = resolvedRequestType?.encode(resolvedRequestType.fromObject(message)).finish();
    return await this.callBytes(method, Buffer.from(bytes ?? []), options);
  }

  async callBytes(method: string, bytes: Buffer, options: CallWith = {}): Promise<Called> {
    const { metadata = {}, signal, ...others } = options;
    return await new Promise<Called>((resolve, reject) => {
      let headers = new Metadata();
      const call = this.#client.makeUnaryRequest(
        `${this.#path}/${method}`,
        (sent: Buffer) => sent,
        (received: Buffer) => this.#read(method, received),
        bytes,
        metadataOf(metadata),
        others,
        (error: ServiceError | null, reply?: Message) => {
          if (error === null) resolve({ reply: reply ?? {}, headers });
          else reject(error);
        },
      );
      call.on("metadata", (received: Metadata) => {
        headers = received;
      });
      signal?.addEventListener("abort", () => call.cancel(), { once: true });
    });
  }

  stream(method: string, options: CallWith = {}): ClientDuplexStream<Message, Message> {
    const { metadata = {}, signal: _, ...others } = options;
    const { resolvedRequestType: type } = this.#methodOf(method);
    return this.#client.makeBidiStreamRequest(
      `${this.#path}/${method}`,
      (message: Message) => Buffer.from(type?.encode(type.fromObject(message)).finish() ?? []),
      (received: Buffer) => this.#read(method, received),
      metadataOf(metadata),
      others,
    );
  }

  watch(method: string, message: Message): ClientReadableStream<Message> {
    const { resolvedRequestType: type } = this.#methodOf(method);
    return this.#client.makeServerStreamRequest(
      `${this.#path}/${method}`,
      (sent: Message) => Buffer.from(type?.encode(type.fromObject(sent)).finish() ?? []),
      (received: Buffer) => this.#read(method, received),
      message,
    );
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  #read(method: string, bytes: Buffer): Message {
    const { resolvedResponseType: type } = this.#methodOf(method);
    if (type === null || type === undefined) throw new Error(`no ${method}`);
    return type.toObject(type.decode(bytes), {
      longs: String,
      enums: String,
      defaults: true,
      arrays: true,
      objects: true,
    });
  }

  #methodOf(name: string): protobuf.Method {
    const method = this.#service.methods[name];
    if (method === undefined) throw new Error(`no method ${name}`);
    return method;
  }
}

function metadataOf(values: Readonly<Record<string, string>>): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(values)) metadata.set(name, value);
  return metadata;
}
