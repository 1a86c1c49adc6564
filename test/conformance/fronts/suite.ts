/** The one list that every front is held to, each over its own protocol and client; driver.ts says what a front brings. */
import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import type { CreateServerOptions } from "#src/index.js";
import { isLong } from "../../support/long.js";
import { getReady, until } from "../../support/real-server.js";
import { TempDir } from "../../support/temp-dir.js";
import {
  type AskOptions,
  type Cells,
  type FrontClient,
  type FrontDriver,
  type Outcome,
  Refused,
  type TaskName,
  type Tasks,
} from "./driver.js";
import { makeKeys } from "./keys.js";
import { questions, World, writeModels } from "./world.js";

/** A hang is a failure of its case. */
const limit = { timeout: 60_000 };
const callers = isLong ? 200 : 50;

export function holdToTheList<Task extends TaskName>(driver: FrontDriver<Task>): void {
  describe(driver.title, () => new Suite(driver).declare());
}

interface Guarded {
  readonly world: World;
  readonly key: string;
}

/** What a case gets of its own cell, where the protocol can say such a thing. */
type Mapped<Name extends keyof Cells> = Exclude<Cells[Name], { readonly cannot: string }>;

class Suite<Task extends TaskName> {
  readonly #driver: FrontDriver<Task>;
  #dir: TempDir | undefined;
  #models = "";
  #world: World | undefined;
  #guarded: Guarded | undefined;

  constructor(driver: FrontDriver<Task>) {
    this.#driver = driver;
  }

  declare(): void {
    before(async () => {
      this.#dir = await TempDir.make();
      this.#models = await writeModels(this.#dir, this.#driver.task);
      this.#world = await this.#start();
    }, limit);
    after(async () => {
      await this.#guarded?.world[Symbol.asyncDispose]();
      await this.#world?.[Symbol.asyncDispose]();
      await this.#dir?.[Symbol.asyncDispose]();
    });
    this.#case("numbers", "numbers are the native route's, bit by bit", () => this.#numbers());
    this.#case("order", "answers are in the order of the inputs", () => this.#order());
    this.#case("badInput", "one bad input among good ones", (cell) =>
      this.#oneFails(questions[this.#driver.task].bad, cell),
    );
    this.#case("tooLong", "an input that is too long, among good ones", (cell) =>
      this.#oneFails(questions[this.#driver.task].tooLong, cell),
    );
    this.#case("unknownModel", "a model that is not there", async (cell) => {
      const asking = { model: "nobody" };
      await this.#refusedThenWell({ asking, says: cell.says });
    });
    this.#case("malformed", "what is no request, then a good one", (cell) => this.#malformed(cell));
    this.#case("company", "inputs of several callers share a batch", (_, t) => this.#company(t));
    this.#case("manyCallers", `${callers} callers at once`, () => this.#manyCallers());
    this.#case("killed", "a pipeline is killed meanwhile", () => this.#killed());
    this.#case("callerGone", "a caller who left costs no further run", () => this.#gone("leave"));
    this.#case("cancel", "a caller who cancels stays", () => this.#gone("cancel"));
    this.#case("queueFull", "a full queue", (cell) => this.#queueFull(cell));
    this.#case("deadline", "a deadline that passes", (cell) => this.#deadline(cell));
    this.#case("unauthenticated", "a key is asked for", (cell) => this.#unauthenticated(cell));
    // The last one of the server that asks for keys: nothing runs there any more.
    this.#case("notReady", "no pipeline is up", (cell) => this.#notReady(cell));
    // The last one: the server is gone after it.
    this.#case("draining", "a server that drains", (cell) => this.#draining(cell));
  }

  #case<Name extends keyof Cells>(
    name: Name,
    title: string,
    run: (cell: Mapped<Name>, t: TestContext) => Promise<void>,
  ): void {
    const cell: Cells[Name] = this.#driver.cells[name];
    if ("cannot" in cell) {
      // No skip: the protocol has no such thing, and nobody will ever run it.
      test(`${title}: the protocol cannot say it`, () => {
        assert.ok(cell.cannot.length > 20, "and the driver says why");
      });
      return;
    }
    test(title, limit, async (t) => {
      try {
        await run(cell as Mapped<Name>, t);
      } finally {
        // A case that failed in between leaves the others a server that runs.
        this.#world?.resume();
      }
    });
  }

  #start(options: CreateServerOptions = {}): Promise<World> {
    return World.start(this.#models, { ...this.#driver.options, ...options });
  }

  get #shared(): World {
    assert.ok(this.#world !== undefined, "the server has started");
    return this.#world;
  }

  #open(world = this.#shared, key: string | null = null): Promise<FrontClient<Task>> {
    return this.#driver.open(world.server, { key });
  }

  #good(count: number): Tasks[Task]["input"][] {
    return questions[this.#driver.task].good(count);
  }

  #native(inputs: readonly Tasks[Task]["input"][]): Promise<readonly Outcome<Task>[]> {
    return this.#shared.native(this.#driver.task, inputs, this.#driver.nativeFields);
  }

  async #numbers(): Promise<void> {
    await using client = await this.#open();
    const inputs = this.#good(3);
    same(await client.ask(inputs), await this.#native(inputs));
    const one = inputs.slice(1, 2);
    same(await client.ask(one), await this.#native(one), "alone, and again on the same connection");
  }

  async #order(): Promise<void> {
    await using client = await this.#open();
    // Long ones first and last, short ones between.
    const inputs = this.#good(40).toReversed().concat(this.#good(40));
    const answers = await client.ask(inputs);
    const wanted = await this.#native(inputs);
    assert.ok(new Set(wanted.map(textOf)).size > 12, "answers that can be told apart");
    same(answers, wanted);
  }

  async #oneFails(
    bad: Tasks[Task]["input"],
    { fails, says }: Mapped<"badInput" | "tooLong">,
  ): Promise<void> {
    await using client = await this.#open();
    const [first, last] = this.#good(2);
    assert.ok(first !== undefined && last !== undefined);
    const inputs = [first, bad, last];
    if (fails === "together") {
      await this.#refused(client, { inputs, says });
    } else {
      const answers = await client.ask(inputs);
      same([answers[0], answers[2]], await this.#native([first, last]));
      assert.equal(answers.length, 3);
      assert.deepEqual(answers[1], { error: says });
    }
    same(await client.ask([last]), await this.#native([last]), "the next one is answered");
  }

  async #malformed({ says }: Mapped<"malformed">): Promise<void> {
    await using client = await this.#open();
    const inputs = this.#good(2);
    same(await client.ask(inputs), await this.#native(inputs));
    assert.ok(client.malformed !== undefined, "the driver's client can send what is no request");
    assert.equal((await refusalOf(client.malformed())).says, says);
    same(await client.ask(inputs), await this.#native(inputs));
  }

  async #refusedThenWell({
    asking,
    says,
  }: {
    readonly asking: AskOptions;
    readonly says: string;
  }): Promise<void> {
    await using client = await this.#open();
    const inputs = this.#good(2);
    await this.#refused(client, { inputs, says, asking });
    same(await client.ask(inputs), await this.#native(inputs));
  }

  async #refused(
    client: FrontClient<Task>,
    {
      inputs = this.#good(1),
      says,
      asking = {},
    }: {
      readonly inputs?: readonly Tasks[Task]["input"][];
      readonly says: string;
      readonly asking?: AskOptions;
    },
  ): Promise<void> {
    const refusal = await refusalOf(client.ask(inputs, asking));
    assert.equal(refusal.says, says, refusal.message);
    assert.notEqual(refusal.message, "", "and says why");
  }

  /** Each asks for one thing while nothing runs; then what waited is packed as if it were one caller's. */
  async #company(t: TestContext): Promise<void> {
    const world = this.#shared;
    const { task } = this.#driver;
    const inputs = this.#good(32);
    const wanted = await this.#native(inputs);
    await using clients = await this.#openMany(inputs.length);
    const before = await world.work(task);
    const { retried } = world.status.items;
    world.pause();
    const asked = clients.list.map((client, at) => client.ask(inputs.slice(at, at + 1)));
    await world.active(inputs.length);
    world.resume();
    same((await Promise.all(asked)).flat(), wanted);
    const { runs, rows } = await world.work(task);
    t.diagnostic(`${rows - before.rows} rows of as many callers in ${runs - before.runs} runs`);
    // A pipeline that stood still for too long was replaced: what it had may have run before, and ran again.
    const again = world.status.items.retried - retried;
    assert.ok(rows - before.rows >= inputs.length && rows - before.rows <= inputs.length + again);
    assert.ok(runs - before.runs < inputs.length, "rows of several callers in one run");
  }

  async #manyCallers(): Promise<void> {
    const inputs = this.#good(callers);
    const wanted = await this.#native(inputs);
    await using clients = await this.#openMany(callers);
    const asked = clients.list.map((client, at) => client.ask(inputs.slice(at, at + 1)));
    same((await Promise.all(asked)).flat(), wanted);
    // A request has ended when its last answer was sent, a little after who asked has it.
    await this.#shared.active(0);
  }

  async #killed(): Promise<void> {
    const world = this.#shared;
    const inputs = this.#good(64);
    const wanted = await this.#native(inputs);
    const restarts = restartsOf(world);
    await using clients = await this.#openMany(8);
    world.pause();
    const asked = clients.list.map((client, at) => client.ask(inputs.slice(8 * at, 8 * at + 8)));
    // Both have some of it.
    await until(() => world.status.pipelines.every(({ items }) => items.inFlight > 0));
    world.kill(1);
    world.resume();
    same((await Promise.all(asked)).flat(), wanted);
    await until(() => restartsOf(world) > restarts);
    await world.loaded();
  }

  /** Leaves, or cancels, behind what fills the pipelines: whatever of it still ran would have been too much. */
  async #gone(how: "leave" | "cancel"): Promise<void> {
    const world = this.#shared;
    const { task } = this.#driver;
    await using client = await this.#open();
    const inputs = this.#good(24);
    const wanted = await client.ask(inputs.slice(0, 1));
    const before = await world.work(task);
    const { retried } = world.status.items;
    world.pause();
    const others = await world.occupy(task);
    const { all } = world.held();
    const { active } = world.status.requests;
    const leaving = new AbortController();
    const asked = client.ask(inputs, { [how]: leaving.signal }).then(
      () => "answered" as const,
      () => "nothing" as const,
    );
    await until(() => world.held().all > all);
    leaving.abort();
    await world.active(active);
    world.resume();
    await others.done;
    if (how === "cancel") {
      same(await client.ask(inputs.slice(0, 1)), wanted, "it asks again on the same connection");
      assert.equal(await asked, "nothing");
    } else await this.#native(inputs.slice(0, 1));
    const ran = (await world.work(task)).rows - before.rows;
    // A pipeline that stood still for too long was replaced: what it had may have run before, and ran again.
    const again = world.status.items.retried - retried;
    const most = others.inputs + 1 + again;
    assert.ok(
      ran >= others.inputs + 1 && ran <= most,
      `${ran} rows ran: those in front and the next caller's are ${others.inputs + 1}, and ${again} again`,
    );
  }

  async #queueFull({ says }: Mapped<"queueFull">): Promise<void> {
    const world = this.#shared;
    await using client = await this.#open();
    const inputs = this.#good(1);
    const wanted = await client.ask(inputs);
    world.pause();
    const filled = await world.fill();
    await this.#refused(client, { inputs, says });
    world.resume();
    await filled.done;
    same(await client.ask(inputs), wanted, "there is room again");
  }

  async #deadline({ by, fails, says }: Mapped<"deadline">): Promise<void> {
    const world =
      by === "caller"
        ? this.#shared
        : await this.#start({ pipelines: 1, requestTimeoutMsDefault: 600 });
    try {
      await using client = await this.#open(world);
      const inputs = this.#good(3);
      world.pause();
      const asking = by === "caller" ? { timeoutMs: 200 } : {};
      if (fails === "together") await this.#refused(client, { inputs, says, asking });
      else {
        const answers = await client.ask(inputs, asking);
        assert.deepEqual(
          answers,
          inputs.map(() => ({ error: says })),
        );
      }
      world.resume();
      const wanted = await this.#native(inputs);
      if (by === "caller") same(await client.ask(inputs), wanted, "the next one is in time");
      else await this.#oneInTime(client, { inputs, wanted });
    } finally {
      if (by === "server") await world[Symbol.asyncDispose]();
    }
  }

  /** All have as little time as the one that was late: on a busy machine the next ones may be late too. */
  async #oneInTime(
    client: FrontClient<Task>,
    {
      inputs,
      wanted,
    }: {
      readonly inputs: readonly Tasks[Task]["input"][];
      readonly wanted: readonly Outcome<Task>[];
    },
  ): Promise<void> {
    await until(async () => {
      try {
        return isDeepStrictEqual((await client.ask(inputs)).map(textOf), wanted.map(textOf));
      } catch (error) {
        if (error instanceof Refused) return false;
        throw error;
      }
    });
  }

  async #notReady({ says }: Mapped<"notReady">): Promise<void> {
    const { world, key } = await this.#startGuarded();
    await using client = await this.#open(world, key);
    const inputs = this.#good(2);
    same(await client.ask(inputs), await this.#native(inputs));
    world.kill(1);
    await until(async () => !(await getReady(world.server.url)).body.ready);
    await this.#refused(client, { inputs, says });
  }

  /** Asks for a key, and its one pipeline stays away when it has ended. */
  async #startGuarded(): Promise<Guarded> {
    if (this.#guarded !== undefined) return this.#guarded;
    assert.ok(this.#dir !== undefined);
    const { file, key } = await makeKeys(this.#dir.file("keys.json"));
    const options = { pipelines: 1, restartBackoffMs: 60_000, keys: file };
    this.#guarded = { world: await this.#start(options), key };
    return this.#guarded;
  }

  async #unauthenticated({ says }: Mapped<"unauthenticated">): Promise<void> {
    const { world, key } = await this.#startGuarded();
    const inputs = this.#good(2);
    for (const wrong of [null, "nobody's"]) {
      const refusal = await refusalOf(this.#askOnce(world, { inputs, key: wrong }));
      assert.equal(refusal.says, says, refusal.message);
    }
    same(await this.#askOnce(world, { inputs, key }), await this.#native(inputs));
  }

  /** A protocol may refuse a key when a connection is made. */
  async #askOnce(
    world: World,
    { inputs, key }: { readonly inputs: Tasks[Task]["input"][]; readonly key: string | null },
  ): Promise<readonly Outcome<Task>[]> {
    await using client = await this.#open(world, key);
    return await client.ask(inputs);
  }

  async #draining({ says }: Mapped<"draining">): Promise<void> {
    const world = this.#shared;
    const inputs = this.#good(3);
    const wanted = await this.#native(inputs);
    await using early = await this.#open();
    await using late = await this.#open();
    same(await late.ask(inputs), wanted);
    world.pause();
    const taken = early.ask(inputs);
    await world.active(1);
    const closed = world.server.close();
    await this.#refused(late, { inputs, says });
    world.resume();
    same(await taken, wanted, "what was taken is finished");
    assert.equal(await closed, true, "and nothing was cut off");
  }

  async #openMany(
    count: number,
  ): Promise<AsyncDisposable & { readonly list: readonly FrontClient<Task>[] }> {
    const list = await Promise.all(Array.from({ length: count }, () => this.#open()));
    return {
      list,
      async [Symbol.asyncDispose]() {
        await Promise.all(list.map((client) => client[Symbol.asyncDispose]()));
      },
    };
  }
}

function restartsOf({ status: { pipelines } }: World): number {
  return pipelines.reduce((sum, { restarts }) => sum + restarts, 0);
}

async function refusalOf(asked: Promise<unknown>): Promise<Refused> {
  const answer = await asked.catch((error: unknown) => error);
  if (answer instanceof Refused) return answer;
  if (answer instanceof Error) throw answer;
  assert.fail(`it was answered, and not refused: ${JSON.stringify(answer)}`);
}

/** To the last bit: a float32 that comes as a decimal number is the same one. */
function same(found: readonly unknown[], wanted: readonly unknown[], message?: string): void {
  assert.deepEqual(found.map(textOf), wanted.map(textOf), message);
}

function textOf(outcome: unknown): string {
  if (!Array.isArray(outcome)) return JSON.stringify(outcome);
  const bytes = Buffer.from(Float32Array.from(outcome as readonly number[]).buffer);
  return `${outcome.length} numbers ${bytes.toString("hex")}`;
}
