/**
 * What the server looked like, once a second: the last two minutes are kept, so that whoever comes sees what was, and each look is
 * written once, however many watch.
 */
import type { Finding, LiveHistory, LiveSample, LiveStatus } from "millrace-client/wire";
import { withResolvers } from "../work/with-resolvers.js";
import { liveSampleOf } from "./live-sample.js";

const usualEveryMs = 1_000;
const samplesMax = 120;
/** What is found is of the time from the oldest of those looks that are kept whole, half a minute and a little. */
const keptEvery = 5;
const keptMax = 7;
/** Nobody reads faster than this. */
const diagnosedEvery = 2;

export type Look = Pick<LiveStatus, "status" | "nodes">;

interface KeptLook extends Look {
  readonly atMs: number;
}

/** `number`: it was the nth, by which the samples behind it are told: the machine's clock may be set in between. */
type NumberedLook = KeptLook & { readonly number: number };

/** What is wrong, as of what was seen from one look to another. */
export type Diagnose = (window: {
  readonly before: KeptLook;
  readonly after: KeptLook;
  readonly samples: readonly LiveSample[];
}) => readonly Finding[];

/** Owned by the server; `[Symbol.dispose]` ends it, and everybody's watch. */
export class StatusFeed implements Disposable {
  readonly #look: () => Look;
  readonly #diagnose: Diagnose;
  readonly #everyMs: number;
  readonly #samples: LiveSample[] = [];
  readonly #kept: NumberedLook[] = [];
  #findings: readonly Finding[] = [];
  #looks = 0;
  #diagnosedAtLook = -diagnosedEvery;
  #timer: NodeJS.Timeout | null = null;
  #watching = 0;
  #text = "";
  /** Of this look; null: nobody has come since. */
  #historyText: string | null = null;
  #isEnded = false;
  /** From one look to the next. */
  #turn = withResolvers();

  /** `everyMs`: of looks; another one where somebody measures what they cost. */
  constructor(look: () => Look, diagnose: Diagnose = () => [], everyMs: number = usualEveryMs) {
    this.#look = look;
    this.#diagnose = diagnose;
    this.#everyMs = everyMs;
  }

  start(): void {
    this.#tell();
    this.#timer ??= setInterval(() => this.#tell(), this.#everyMs).unref();
  }

  get watching(): number {
    return this.#watching;
  }

  /** A `LiveHistory` as JSON: of hundreds of pipelines it takes a tenth of a second, and after a break all who watch come at once. */
  get history(): string {
    const history: LiveHistory = { everyMs: this.#everyMs, samples: this.#samples };
    this.#historyText ??= JSON.stringify(history);
    return this.#historyText;
  }

  /** While it is held, looks are written. */
  watch(): StatusWatch {
    this.#watching += 1;
    let isOver = false;
    return {
      next: async () => {
        await this.#turn.promise;
        return this.#isEnded ? null : this.#text;
      },
      [Symbol.dispose]: () => {
        if (!isOver) this.#watching -= 1;
        isOver = true;
      },
    };
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#isEnded = true;
    this.#turn.resolve();
  }

  #tell(): void {
    const look = this.#look();
    const sample = liveSampleOf(look.status, Date.now());
    this.#keep(sample, look);
    this.#historyText = null;
    if (this.#watching === 0) return;
    const findings = this.#foundNow({ ...look, atMs: sample.atMs });
    this.#text = JSON.stringify({ sample, ...look, findings } satisfies LiveStatus);
    const turn = this.#turn;
    this.#turn = withResolvers();
    turn.resolve();
  }

  #keep(sample: LiveSample, look: Look): void {
    this.#samples.push(sample);
    if (this.#samples.length > samplesMax) this.#samples.shift();
    if (this.#looks % keptEvery === 0) {
      this.#kept.push({ ...look, atMs: sample.atMs, number: this.#looks });
    }
    if (this.#kept.length > keptMax) this.#kept.shift();
    this.#looks += 1;
  }

  /** Those of the look before where that was diagnosed. */
  #foundNow(after: KeptLook): readonly Finding[] {
    if (this.#looks - this.#diagnosedAtLook >= diagnosedEvery) {
      this.#findings = this.#found(after);
      this.#diagnosedAtLook = this.#looks;
    }
    return this.#findings;
  }

  #found(after: KeptLook): readonly Finding[] {
    const [before] = this.#kept;
    if (before === undefined) return [];
    const samples = this.#samples.slice(before.number - this.#looks);
    return this.#diagnose({ before, after, samples });
  }
}

export interface StatusWatch extends Disposable {
  /** The next look, a `LiveStatus` as JSON: one that comes late gets the latest. Null: the server stops. */
  next(): Promise<string | null>;
}
