/** Stores on JetStream for tests: each on a link of its own, as each server of a deployment has one. */
import {
  type JetStreamStore,
  type JetStreamStoreOptions,
  openJetStreamStore,
} from "#src/jobs/jetstream/jetstream-store.js";
import { NatsLink } from "#src/nats/connection.js";

export interface LogLine {
  readonly level: "info" | "warn" | "error";
  readonly fields: object;
  readonly message: string;
}

export class LogLines {
  readonly lines: LogLine[] = [];

  info(fields: object, message: string): void {
    this.lines.push({ level: "info", fields, message });
  }

  warn(fields: object, message: string): void {
    this.lines.push({ level: "warn", fields, message });
  }

  error(fields: object, message: string): void {
    this.lines.push({ level: "error", fields, message });
  }
}

export async function linkTo(
  url: string,
  log: LogLines = new LogLines(),
  prefix = "test",
): Promise<NatsLink> {
  return await NatsLink.open({
    nats: url,
    natsPrefix: prefix,
    natsCredentials: null,
    natsCa: null,
    natsCert: null,
    natsKey: null,
    name: "a test",
    log,
  });
}

export interface LinkedStore extends AsyncDisposable {
  readonly store: JetStreamStore;
  readonly link: NatsLink;
  readonly log: LogLines;
}

export async function openLinkedStore(
  url: string,
  options: Partial<Omit<JetStreamStoreOptions, "log">> & { readonly prefix?: string } = {},
): Promise<LinkedStore> {
  const log = new LogLines();
  const { prefix, ...rest } = options;
  const link = await linkTo(url, log, prefix);
  try {
    const store = await openJetStreamStore(link, { replicas: 1, bytesMax: 2 ** 30, ...rest, log });
    return {
      store,
      link,
      log,
      [Symbol.asyncDispose]: async () => {
        await store[Symbol.asyncDispose]();
        await link.close();
      },
    };
  } catch (error) {
    await link.close();
    throw error;
  }
}
