/**
 * A worker process without a process: it speaks frames as the real child promises (frames/messages.ts), takes as long as
 * recorded runs took, reads nothing while it is in a run, and misbehaves as its plan says.
 *
 *   send ──latency──► inbox ──between runs──► engine ──► run ─ … ─► outcomes ──latency──► onFrame
 *                                                         └─ here it dies, hangs or lies
 */
import {
  type ChildFrame,
  type FrameBatch,
  type FrameOutcome,
  framesVersion,
  type ParentFrame,
} from "#src/frames/messages.js";
import { ProtocolError } from "#src/frames/protocol-error.js";
import type { ProcessSample } from "#src/platform/system.js";
import { type HostedTurn, SimulatedProcess } from "#src/simulation/simulated-process.js";
import type { ChildEvents, ChildPort } from "#src/worker/child.js";
import type { ProcessEnd } from "#src/worker/settle.js";
import { type ChildWorld, type EndKind, happensByItself, isDeadly } from "./child-world.js";
import { DueFault } from "./due-fault.js";
import { Inbox } from "./inbox.js";
import { Lies } from "./lies.js";
import { type FaultKind, isLie, type PipelinePlan, type PoisonPlan } from "./plan.js";
import { ProcessorTime } from "./processor-time.js";
import { Random } from "./random.js";
import { type SimulatedChildItem, simulatedEngine } from "./simulated-engines.js";
import { answerTo, badAnswer } from "./task.js";
import { predictedMs, TurnsAccount } from "./turns-account.js";
import { briefFrame, Voice } from "./voice.js";

const announceMs = 20;
const slowness = 30;
/** Between the end of a process and of its pipes, and until a closed channel counts. */
const closeGraceMs = 1_000;

export class FaultyChild implements ChildPort {
  readonly pid: number | null;
  readonly spec: PipelinePlan;
  readonly random: Random;
  readonly voice: Voice;
  readonly #world: ChildWorld;
  readonly #events: ChildEvents;
  readonly #fault: DueFault;
  readonly #lies: Lies;
  readonly #hosted: SimulatedProcess<SimulatedChildItem>;
  #loads = 0;
  readonly #inbox: Inbox;
  #state: "boot" | "loading" | "ready" | "silent" | "dead" = "boot";
  #muted = false;
  #ended = false;
  #unkillable = false;
  readonly #time = new ProcessorTime();
  #speaking = false;
  #ending = false;
  #slow = 1;
  #spoils = false;
  #announcedAtMs = -Infinity;
  readonly #cancelled = new Set<number>();
  /** Items that it ended, or confirmed as dropped. */
  readonly over: number[] = [];
  /** Since when it has said nothing, and will not. */
  silentSinceMs: number | null = null;
  /** The most that it announced for a run, heard or on its way. */
  predictedMsMost = 0;
  /** Why the parent may kill it; null while it may not. */
  blame: string | null = null;
  endKind: EndKind = "fault";
  saidHello = false;
  /** Models that it said it has. */
  readonly saidLoaded = new Set<string>();
  /** The parent has heard its hello. */
  wasReady = false;
  /** A load that the parent asked for and has not heard the end of. */
  loadAsked: string | null = null;
  readonly bornAtMs: number;
  /** Recalls that the parent waits for. */
  asked = 0;
  heardAtMs = 0;

  constructor(
    spec: PipelinePlan,
    life: { readonly number: number; readonly pid: number },
    wiring: { readonly world: ChildWorld; readonly events: ChildEvents },
  ) {
    const { world, events } = wiring;
    this.spec = spec;
    this.#world = world;
    this.#events = events;
    let hash = world.seed * 31 + life.number;
    for (const letter of spec.pipelineId) hash = hash * 131 + letter.charCodeAt(0);
    this.random = new Random(hash);
    this.#fault = new DueFault(spec.lives[life.number] ?? null, this.random);
    this.bornAtMs = world.clock.now();
    this.heardAtMs = this.bornAtMs;
    this.voice = new Voice({
      world,
      random: this.random,
      isOver: () => this.#muted || this.#ended,
      isGood: () => this.isGood,
      onFrame: (frame) => this.#hear(frame),
      onBroken: (error) => this.#break(error),
      onLie: (what) => world.watcher.heardLie(this, what),
    });
    this.#inbox = new Inbox({
      world,
      random: this.random,
      isDeaf: () => this.#state === "dead" || this.#state === "silent",
      onArrival: () => this.#go(),
      onTooLarge: (itemId) => {
        if (this.#muted || this.#ended) return;
        world.happened("too-large");
        events.onTooLarge({ itemId, message: "is as large as planned" });
      },
    });
    this.#lies = new Lies(this, world);
    this.#hosted = new SimulatedProcess({
      now: () => world.clock.now(),
      watcher: new TurnsAccount(world.judge),
      predictedMs,
    });
    this.pid = this.#fault.kind === "spawn-fails" ? null : life.pid;
    this.#start();
  }

  /** Whether the engine has it, or a frame on its way. */
  has(itemId: number): boolean {
    return this.#inbox.has(itemId) || this.#hosted.has(itemId);
  }

  get isGood(): boolean {
    return this.blame === null;
  }

  /** Silent without processor time. */
  get isStill(): boolean {
    return !this.#time.spins;
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  get isKilled(): boolean {
    return this.#muted;
  }

  send(frame: ParentFrame): void {
    this.#world.watcher.sent(this, frame);
    if (frame.type === "recall") this.asked += 1;
    if (frame.type === "load") this.loadAsked = frame.model;
    if (this.#muted || this.#state === "dead") return;
    this.#inbox.send(frame);
  }

  kill(): void {
    if (this.#muted) return;
    this.#muted = true;
    this.#world.watcher.killed(this);
    if (this.#unkillable) {
      this.#world.clock.at(this.#world.clock.now() + this.#world.options.killTimeoutMs, () =>
        this.#end({ kind: "lost", reason: "does not end, even when killed" }),
      );
      return;
    }
    if (this.#state !== "dead") this.#die({ kind: "signalled", signal: "SIGKILL" });
  }

  sample(): ProcessSample {
    return this.#time.sample(this.#world.clock.now());
  }

  // ── What it says ─────────────────────────────────────────────────────────────────────────────────────────────

  fallSilent(how: { readonly spins?: boolean; readonly stopped?: boolean } = {}): void {
    if (this.#state === "dead") return;
    const nowMs = this.#world.clock.now();
    this.#time.pause(nowMs);
    this.#state = "silent";
    if (how.spins === true) this.#time.spin(nowMs);
    this.#time.stopped = how.stopped === true;
    if (this.#time.stopped && this.#world.surroundings.processTimes) this.endKind = "outside";
    this.silentSinceMs = nowMs;
    this.#world.watcher.hangs(this);
  }

  die(end: PoisonPlan["end"] | "torn"): void {
    const { surroundings } = this.#world;
    switch (end) {
      case "exit":
      case "torn":
        return this.#die({ kind: "exited", code: this.random.pick([0, 1, 134]) });
      case "segfault":
        return this.#die({ kind: "signalled", signal: this.random.pick(["SIGSEGV", "SIGABRT"]) });
      case "killed-from-outside":
        this.endKind = "outside";
        return this.#die({ kind: "signalled", signal: this.random.pick(["SIGKILL", "SIGTERM"]) });
      case "out-of-memory":
        this.endKind = surroundings.killCounter ? "memory" : "outside";
        this.#world.killedForMemory();
        return this.#die({ kind: "signalled", signal: "SIGKILL" });
      case "hang-still":
        return this.fallSilent();
    }
  }

  #break(error: ProtocolError): void {
    this.#speaking = true;
    this.#events.onBroken(error);
    this.#speaking = false;
  }

  /** As the parent can see it: what it finds in a frame, or in a silence, comes before what the process ends of. */
  get seenEndKind(): EndKind {
    if (this.#ending) return this.endKind;
    const isSilent = !this.#speaking && this.#time.stopped && this.#world.surroundings.processTimes;
    return isSilent ? "outside" : "fault";
  }

  #hear(frame: ChildFrame): void {
    if (frame.type === "recalled") this.asked -= 1;
    if (frame.type === "hello") this.wasReady = true;
    if (frame.type === "loaded" || frame.type === "load-failed") this.loadAsked = null;
    this.heardAtMs = this.#world.clock.now();
    this.#world.watcher.hears(this, frame);
    this.#world.trace(() => `${this.spec.pipelineId} says ${briefFrame(frame)}`);
    this.#speaking = true;
    this.#events.onFrame(frame);
    this.#speaking = false;
  }

  #say(frame: ChildFrame): void {
    if (this.#state === "silent" || this.#state === "dead") return;
    const kind = this.#fault.takeWith(frame);
    if (kind === null) this.voice.say(frame);
    else this.#misbehave(kind, frame);
  }

  /** The fault's time has come; `frame` is what a good child would say now. */
  #misbehave(kind: FaultKind, frame: ChildFrame | null): void {
    const { options } = this.#world;
    this.#world.happened(kind);
    this.#world.trace(() => `${this.spec.pipelineId} misbehaves: ${kind}`);
    if (isLie(kind)) {
      if (frame !== null) this.#lies.tell(kind, frame);
      return;
    }
    switch (kind) {
      case "exit":
      case "segfault":
      case "killed-from-outside":
      case "out-of-memory":
        this.blame = kind;
        return this.die(kind);
      case "hang-still":
      case "hang-busy":
      case "stopped-from-outside":
      case "ends-unkillable":
        this.blame = kind;
        this.#unkillable = kind === "ends-unkillable";
        return this.fallSilent({
          spins: kind === "hang-busy",
          stopped: kind === "stopped-from-outside",
        });
      case "slow":
      case "starved":
        this.#slow = slowness;
        this.#time.starved = kind === "starved";
        break;
      case "late-frames":
        // Not so late that it would look like a hang, or a start that never ends.
        this.voice.extraMs = Math.min(0.4 * options.hangFloorMs, 0.2 * options.startTimeoutMs);
        break;
      case "bad-values":
        this.#spoils = true;
        break;
      case "stop-ignored":
      case "spawn-fails":
      case "never-loaded":
      case "dies-loading":
      case "load-fails":
      case "wrong-version":
        break;
    }
    if (frame !== null) this.voice.say(frame);
  }

  // ── Its life ─────────────────────────────────────────────────────────────────────────────────────────────────

  #start(): void {
    const { clock } = this.#world;
    const bornAtMs = clock.now();
    const { kind, atMs } = this.#fault;
    if (kind === "spawn-fails") {
      this.blame = "spawn-fails";
      this.#world.happened("spawn-fails");
      this.#state = "dead";
      clock.at(bornAtMs, () => this.#end({ kind: "lost", reason: "could not be spawned" }));
      return;
    }
    if (atMs !== null)
      clock.at(bornAtMs + atMs, () => {
        if (this.#state === "silent" || this.#state === "dead") return;
        // What needs a frame to be said waits for one.
        if (kind !== undefined && happensByItself.has(kind)) this.#misbehave(kind, null);
        else this.#fault.awaitFrame();
      });
    clock.at(bornAtMs + this.spec.bootMs, () => {
      const version = kind === "wrong-version" ? framesVersion + 1 : framesVersion;
      if (kind === "wrong-version") this.blame = kind;
      this.#say({ type: "hello", version, pid: this.pid ?? 0 });
      if (this.#state !== "boot") return;
      this.#state = "ready";
      this.saidHello = true;
      this.#go();
    });
  }

  #go(): void {
    while (!this.#time.isBusy && this.#state === "ready") {
      const frame = this.#inbox.take();
      if (frame === undefined) break;
      this.#receive(frame);
    }
    if (this.#time.isBusy || this.#state !== "ready") return;
    const turn = this.#hosted.next();
    if (turn === null) {
      for (const report of this.#hosted.reports())
        this.#say({ type: "report", ...report, cacheBytes: 0 });
    } else this.#run(turn);
  }

  #receive(frame: ParentFrame): void {
    const { clock } = this.#world;
    switch (frame.type) {
      case "load":
        this.#say({ type: "loading", model: frame.model });
        if (this.#state !== "ready") return;
        this.#state = "loading";
        clock.at(clock.now() + this.#world.modelOf(frame.model).loadMs, () => this.#loaded(frame));
        return;
      case "unload":
        this.#hosted.unload(frame.model);
        this.saidLoaded.delete(frame.model);
        this.#say({ type: "unloaded", model: frame.model, memoryBytes: 1_000 });
        return;
      case "batch":
        return this.#hosted.add(frame, this.#itemsOf(frame));
      case "cancel":
        for (const itemId of frame.itemIds) this.#cancelled.add(itemId);
        this.#hosted.cancel(frame.itemIds);
        return;
      case "recall":
        for (const itemId of frame.itemIds)
          if (this.#cancelled.delete(itemId)) this.over.push(itemId);
        this.#say({ type: "recalled", itemIds: this.#hosted.recall(frame.itemIds) });
        return;
      case "profile":
        throw new Error("nobody asks for a profile here");
      case "stop":
        if (this.#fault.kind === "stop-ignored") return this.#world.happened("stop-ignored");
        this.#die({ kind: "exited", code: 0 });
        return;
    }
  }

  #itemsOf(frame: FrameBatch): SimulatedChildItem[] {
    return frame.items.map(({ itemId, payload }) => {
      const plan = this.#world.planOf(payload);
      return { itemId, payload, plan, cost: plan };
    });
  }

  #loaded({ model, rowsMax }: Extract<ParentFrame, { readonly type: "load" }>): void {
    if (this.#state !== "loading") return;
    const { mode, broken, growsBytes, loadMs } = this.#world.modelOf(model);
    this.#loads += 1;
    const kind = this.#loads === 1 ? this.#fault.kind : undefined;
    if (kind === "never-loaded") {
      this.blame = kind;
      this.#world.happened(kind);
      return this.fallSilent();
    }
    if (kind === "dies-loading" || broken === "kills") {
      this.blame = "dies-loading";
      this.#world.happened("dies-loading");
      return this.die("segfault");
    }
    this.#state = "ready";
    if (kind === "load-fails" || broken === "fails" || broken === "is-invalid") {
      this.#world.happened("load-fails");
      const code = broken === "is-invalid" ? "model_folder_invalid" : "internal";
      this.#say({ type: "load-failed", model, code, message: "none" });
      return this.#go();
    }
    this.#hosted.load(model, simulatedEngine(mode, rowsMax, this.#world.judge));
    this.saidLoaded.add(model);
    const memoryBytes = 1_000;
    this.#say({ type: "loaded", model, loads: 1, modelBytes: growsBytes, memoryBytes, ms: loadMs });
    this.#go();
  }

  #run(turn: HostedTurn<SimulatedChildItem>): void {
    const { run } = turn;
    const { clock } = this.#world;
    const nowMs = clock.now();
    const ms = run.ms * this.#slow * (0.8 + 0.4 * this.random.next());
    if (run.itemsBegin || nowMs - this.#announcedAtMs >= announceMs) {
      this.#announcedAtMs = nowMs;
      const predictedMs = run.ms * (0.7 + 0.6 * this.random.next()) + announceMs;
      this.predictedMsMost = Math.max(this.predictedMsMost, predictedMs);
      const { stage, rows, width } = run;
      const begunItemIds = this.#hosted.begun();
      const { model } = turn.hosted;
      const cost = { rows, width, predictedMs, memoryBytes: 1_000 };
      this.#say({ type: "run", model, stage, begunItemIds, ...cost });
      if (this.#state !== "ready") return;
      this.#world.runs(run.items.map(({ payload }) => payload));
    }
    this.#time.begin(nowMs);
    clock.at(nowMs + ms, () => {
      if (this.#state !== "ready") return;
      this.#time.pause(this.#world.clock.now());
      const poison = run.items.find(({ plan }) => isDeadly(plan.poison, run.items.length));
      if (poison?.plan.poison) {
        this.#world.happened("poison");
        this.#world.trace(() => `${this.spec.pipelineId} is poisoned by item ${poison.itemId}`);
        this.blame = "poison";
        return this.die(poison.plan.poison.end);
      }
      this.#hosted.ran(turn, ms);
      if (run.items.some(({ plan }) => plan.answer === "breaks-run"))
        this.#world.happened("breaks-run");
      this.#answer(run.finish(ms, clock.now()));
      this.#go();
    });
  }

  #answer(items: readonly SimulatedChildItem[]): void {
    if (items.length === 0) return;
    this.#hosted.gone(items.map(({ itemId }) => itemId));
    const outcomes = items.map(({ itemId, payload, plan }): FrameOutcome => {
      this.over.push(itemId);
      if (plan.answer === "failed" || plan.answer === "breaks-run")
        return { itemId, ok: false, code: "item_failed", message: "as planned" };
      const isBad = plan.answer === "bad-value" || this.#spoils;
      if (this.#spoils) this.#world.spoilt(payload);
      return { itemId, ok: true, value: isBad ? badAnswer : answerTo(payload) };
    });
    this.#say({ type: "items", outcomes });
  }

  #die(end: ProcessEnd): void {
    if (this.#state === "dead") return;
    this.#time.pause(this.#world.clock.now());
    this.#state = "dead";
    const { clock } = this.#world;
    // Frames on their way arrive before the end, or never do.
    const isCut = this.random.chance(0.3);
    const atMs = isCut ? clock.now() : Math.max(clock.now(), this.voice.arrivesAtMs);
    clock.at(atMs, () => this.#end(end));
  }

  #end(end: ProcessEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#state = "dead";
    this.#world.watcher.ends(this, end);
    this.#world.trace(() => `${this.spec.pipelineId} ends: ${JSON.stringify(end)}`);
    this.#ending = true;
    this.#events.onEnd(end);
  }

  /** It lives on, and its channel does not. */
  closeChannel(): void {
    const { clock } = this.#world;
    this.fallSilent();
    clock.at(Math.max(this.voice.arrivesAtMs, clock.now() + closeGraceMs), () => {
      if (this.#muted || this.#ended) return;
      this.#break(new ProtocolError("closed its channel and lives on"));
      this.#world.watcher.heardLie(this, "a closed channel");
    });
  }
}
