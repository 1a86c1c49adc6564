/**
 * Of which jobs this server has chunks in hand, said by listening: whoever asks on a job's own subject hears from those that have
 * some, and from NATS itself, at once, where nobody has. So who ends a job that is to be left knows when all others have left it, and
 * a server that died is no matter: nobody listens for it any more. Who is asked looks at the job, which is over or about to be.
 */
import { isUnanswered } from "../../nats/failures.js";
import type { Names } from "./names.js";
import type { Nats } from "./session.js";

/** Who has it and does not answer in this time stands still or is cut off: what it commits is too late. */
const answerMsMax = 1_000;

type Subscription = ReturnType<Nats["nc"]["subscribe"]>;

interface Held {
  chunks: number;
  subscription: Subscription | null;
}

export class HeldJobs {
  readonly #names: Names;
  readonly #onAsked: (jobId: string) => void;
  readonly #jobs = new Map<string, Held>();
  #nc: Nats["nc"] | null = null;

  constructor(names: Names, onAsked: (jobId: string) => void) {
    this.#names = names;
    this.#onAsked = onAsked;
  }

  /** The subscriptions of another connection ended with it. */
  connected(nc: Nats["nc"]): void {
    if (this.#nc === nc) return;
    this.#nc = nc;
    for (const [jobId, held] of this.#jobs) held.subscription = this.#listen(jobId);
  }

  /** One chunk of it; what comes back lets it go, once. */
  hold(jobId: string): () => void {
    const held = this.#jobs.get(jobId) ?? { chunks: 0, subscription: this.#listen(jobId) };
    this.#jobs.set(jobId, held);
    held.chunks += 1;
    return () => {
      held.chunks -= 1;
      if (held.chunks > 0) return;
      this.#jobs.delete(jobId);
      held.subscription?.unsubscribe();
    };
  }

  /** Whether any server that lives has chunks of it, this one among them. */
  async isHeld({ nc }: Nats, jobId: string): Promise<boolean> {
    try {
      await nc.request(this.#names.workHeld(jobId), "", { timeout: answerMsMax });
      return true;
    } catch (error) {
      const isNobody = isUnanswered(error);
      if (isNobody && !nc.isClosed()) return false;
      throw error;
    }
  }

  #listen(jobId: string): Subscription | null {
    if (this.#nc === null || this.#nc.isClosed()) return null;
    const callback: NonNullable<Parameters<Nats["nc"]["subscribe"]>[1]>["callback"] = (
      error,
      message,
    ) => {
      if (error !== null) return;
      message.respond();
      this.#onAsked(jobId);
    };
    return this.#nc.subscribe(this.#names.workHeld(jobId), { callback });
  }
}
