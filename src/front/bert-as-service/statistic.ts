/** What SHOW_STATUS tells of requests, in the names of the original. Clients are remembered as far as there: 500 of them. */
import type { JsonObject } from "../../work/payload.js";

const clientsMax = 500;
const sizesMax = 500;
const intervalsMax = 200;
/** Who has asked within this time is active. */
const activeMs = 180_000;

interface Client {
  requests: number;
  lastDataMs: number | null;
}

export class Statistic {
  readonly #nowMs: () => number;
  readonly #clients = new Map<string, Client>();
  /** Requests by their number of texts. */
  readonly #sizes = new Map<number, number>();
  readonly #intervalsMs: number[] = [];
  #clientsForgotten = 0;
  #dataRequests = 0;
  #systemRequests = 0;
  #texts = 0;
  #lastMs: number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#lastMs = nowMs();
  }

  asked(client: string): void {
    this.#systemRequests += 1;
    this.#clientOf(client).requests += 1;
  }

  encoded(client: string, texts: number): void {
    const now = this.#nowMs();
    this.#dataRequests += 1;
    this.#texts += texts;
    if (this.#sizes.size < sizesMax || this.#sizes.has(texts)) {
      this.#sizes.set(texts, (this.#sizes.get(texts) ?? 0) + 1);
    }
    const known = this.#clientOf(client);
    known.requests += 1;
    known.lastDataMs = now;
    this.#intervalsMs.push(now - this.#lastMs);
    if (this.#intervalsMs.length > intervalsMax) this.#intervalsMs.shift();
    this.#lastMs = now;
  }

  values(): JsonObject {
    const now = this.#nowMs();
    const clients = [...this.#clients.values()];
    const isActive = ({ lastDataMs }: Client): boolean =>
      lastDataMs !== null && now - lastDataMs < activeMs;
    const intervals = this.#intervalsMs.map((ms) => ms / 1_000);
    // The clock may stand still between two requests.
    const rates = intervals.filter((seconds) => seconds > 0).map((seconds) => 1 / seconds);
    return {
      num_data_request: this.#dataRequests,
      num_total_seq: this.#texts,
      num_sys_request: this.#systemRequests,
      num_total_request: this.#dataRequests + this.#systemRequests,
      num_total_client: clients.length + this.#clientsForgotten,
      num_active_client: clients.filter(isActive).length,
      ...spread(
        "request_per_client",
        clients.map(({ requests }) => [requests, 1] as const),
      ),
      ...spread("size_per_request", [...this.#sizes]),
      ...spread(
        "last_two_interval",
        intervals.map((seconds) => [seconds, 1] as const),
      ),
      ...spread(
        "request_per_second",
        rates.map((rate) => [rate, 1] as const),
      ),
    };
  }

  #clientOf(name: string): Client {
    const found = this.#clients.get(name) ?? { requests: 0, lastDataMs: null };
    // The one that asked last stands last.
    this.#clients.delete(name);
    this.#clients.set(name, found);
    for (const oldest of this.#clients.keys()) {
      if (this.#clients.size <= clientsMax) break;
      this.#clients.delete(oldest);
      this.#clientsForgotten += 1;
    }
    return found;
  }
}

/** Left out while there is nothing. Of values, each with how often it was seen. */
function spread(name: string, seen: readonly (readonly [number, number])[]): JsonObject {
  if (seen.length === 0) return {};
  const values = seen.map(([value]) => value);
  const least = Math.min(...values);
  const most = Math.max(...values);
  let sum = 0;
  let count = 0;
  for (const [value, times] of seen) {
    sum += value * times;
    count += times;
  }
  return {
    [`avg_${name}`]: sum / count,
    [`min_${name}`]: least,
    [`max_${name}`]: most,
    [`num_min_${name}`]: values.filter((value) => value === least).length,
    [`num_max_${name}`]: values.filter((value) => value === most).length,
  };
}
