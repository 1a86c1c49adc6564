/** Bytes that everything takes: what NATS said last, and what was added since. */
import { MillraceError } from "millrace-client/wire";
import { messageOf } from "../../work/thrown.js";
import { chunkLimits } from "../store.js";
import type { Names } from "./names.js";
import type { Nats, Session, StoreLog } from "./session.js";

const refreshMs = 5_000;
/** Of a message beside its body: its subject, headers, length and checksum. */
const messageBytes = 160;
const newBytesMin = chunkLimits.bytesMax + 4 * 1024;

export class UsageBook {
  readonly bytesMax: number;
  readonly #session: Session;
  readonly #names: Names;
  readonly #log: StoreLog;
  readonly #timer: NodeJS.Timeout;
  #bytes = 0;
  #refreshing: Promise<void> | null = null;

  constructor(options: {
    readonly session: Session;
    readonly names: Names;
    readonly bytesMax: number;
    readonly log: StoreLog;
  }) {
    this.bytesMax = options.bytesMax;
    this.#session = options.session;
    this.#names = options.names;
    this.#log = options.log;
    this.#timer = setInterval(() => {
      if (this.#session.reason !== null) return;
      this.refresh().catch((error: unknown) => {
        this.#log.warn({ reason: messageOf(error) }, "the job store does not say what it takes");
      });
    }, refreshMs);
    this.#timer.unref();
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Something new begins, and must have room for a chunk beside itself: else it would be refused in its midst. @throws MillraceError `job_store_full` */
  claimNew(bytes: number): void {
    this.#check(bytes + newBytesMin);
    this.add(bytes);
  }

  /** What is about to be stored. @throws MillraceError `job_store_full` */
  claim(bytes: number): void {
    this.#check(bytes);
    this.add(bytes);
  }

  add(bytes: number): void {
    this.#bytes += bytes + messageBytes;
  }

  /** Several that ask at once have one answer. */
  async refresh(): Promise<void> {
    this.#refreshing ??= this.#session
      .run((nats) => this.refreshFrom(nats))
      .finally(() => {
        this.#refreshing = null;
      });
    await this.#refreshing;
  }

  async refreshFrom({ jsm }: Nats): Promise<void> {
    const { records, chunks, results, work } = this.#names;
    const streams = [records, chunks, results, work];
    const infos = await Promise.all(streams.map((name) => jsm.streams.info(name)));
    this.#bytes = infos.reduce((sum, { state }) => sum + state.bytes, 0);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #check(bytes: number): void {
    if (this.#bytes + bytes <= this.bytesMax) return;
    const message = `jobs take ${this.#bytes} of ${this.bytesMax} bytes, and ${bytes} more do not fit`;
    throw new MillraceError("job_store_full", message);
  }
}
