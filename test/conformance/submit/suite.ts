/** What the seam of fronts promises (src/submit/submit.ts), held against whoever implements it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isErrorCode, MillraceError } from "millrace-client/wire";
import type {
  SubmitEvents,
  SubmitOutcome,
  SubmitRequest,
  SubmitSummary,
} from "#src/submit/submit.js";
import { magic } from "../../support/fake-tokens.js";
import { textOrCode } from "../../support/local.js";
import { isLong } from "../../support/long.js";
import { FakeModel } from "../../support/pool.js";
import { until } from "../../support/until.js";
import type { OpenOptions, OpenSubmit, SubmitDriver } from "./driver.js";

const limit = { timeout: 60_000 };

/** One sentence a text: its number, so that each result is known. */
function numbers(count: number, from = 1): string[] {
  return Array.from({ length: count }, (_, index) => `${index + from}.`);
}

interface Asked {
  readonly summary: SubmitSummary;
  readonly outcomes: readonly SubmitOutcome[];
}

function requestOf(texts: readonly unknown[], more: Partial<SubmitRequest> = {}): SubmitRequest {
  const asked = { id: "r-1", task: "numbers", model: null, class: null, tenant: "default" };
  return { ...asked, fields: { texts }, deadlineAtMs: null, payloadBytes: 10, ...more };
}

async function ask(
  { submit }: OpenSubmit,
  request: SubmitRequest,
  {
    signal = new AbortController().signal,
    ...events
  }: Partial<SubmitEvents> & { readonly signal?: AbortSignal } = {},
): Promise<Asked> {
  const outcomes: SubmitOutcome[] = [];
  const summary = await submit.submit(request, signal, {
    ...events,
    onOutcome: (outcome) => {
      outcomes.push(outcome);
      events.onOutcome?.(outcome);
    },
  });
  return { summary, outcomes };
}

function inOrder(outcomes: readonly SubmitOutcome[]): string[] {
  return outcomes.toSorted((a, b) => a.index - b.index).map(textOrCode);
}

async function codeOf(refused: Promise<unknown>): Promise<MillraceError> {
  try {
    await refused;
  } catch (error) {
    assert(error instanceof MillraceError, String(error));
    return error;
  }
  throw new Error("it was not refused");
}

export function testSubmit(driver: SubmitDriver): void {
  const { name, skip } = driver;
  const trying = (
    what: string,
    action: (open: OpenSubmit, model: FakeModel) => Promise<void>,
    options: Omit<OpenOptions, "model"> = {},
  ): void => {
    void test(`${name}: ${what}`, { ...limit, skip }, async () => {
      using model = new FakeModel();
      await using open = await driver.open({ model, ...options });
      await action(open, model);
      await open.nothingHeld();
    });
  };
  testOutcomes(trying);
  testRefusals(trying);
  testEnds(trying);
}

type Trying = (
  what: string,
  action: (open: OpenSubmit, model: FakeModel) => Promise<void>,
  options?: Omit<OpenOptions, "model">,
) => void;

function testOutcomes(trying: Trying): void {
  trying("each input has one outcome at its place, and bad ones fail alone", async (open) => {
    const texts = ["1 2.\n 3 4. 5.", "bad", "  ", `6. ${magic.itemFailed}. 7.`, "8 9."];
    const order: string[] = [];
    const { outcomes, summary } = await ask(
      open,
      requestOf(texts, { fields: { texts, beams: 2 } }),
      {
        onInputs: (inputs) => order.push(`inputs ${inputs.length}`),
        onAccepted: () => order.push("accepted"),
        onOutcome: () => order.push("outcome"),
      },
    );
    assert.deepEqual(inOrder(outcomes), [
      "2 1\n 4 3 5",
      "input_too_long",
      "",
      "item_failed",
      "9 8",
    ]);
    assert.deepEqual(order, ["inputs 5", "accepted", ...texts.map(() => "outcome")]);
    const { task, model, inputs, pipelines } = summary;
    assert.deepEqual([task, model, summary.class, inputs], ["numbers", "fake", "realtime", 5]);
    assert(Object.values(pipelines).reduce((sum, items) => sum + items, 0) > 0);
    for (const ms of Object.values(summary.timings)) assert(ms >= 0);
  });

  trying(
    "an outcome comes when it is ready, and waits for no other",
    async (open, model) => {
      const texts = [`${magic.hold}.`, ...numbers(40)];
      let had = 0;
      const { outcomes } = await ask(open, requestOf(texts), {
        onOutcome: ({ index }) => {
          had += 1;
          if (index !== 0 && had === 1) model.write("release");
        },
      });
      assert.deepEqual(inOrder(outcomes), [
        String(magic.hold),
        ...numbers(40).map((text) => text.slice(0, -1)),
      ]);
    },
    { pipelines: 2 },
  );

  trying("thousands of outcomes, some of them large, each once", async (open) => {
    const long = `${Array.from({ length: 2_000 }, (_, at) => at).join(" ")}.`;
    const texts = numbers(isLong ? 3_000 : 1_000).map((text, index) =>
      index % 100 === 0 ? long : text,
    );
    const { outcomes, summary } = await ask(open, requestOf(texts));
    assert.equal(new Set(outcomes.map(({ index }) => index)).size, texts.length);
    assert.equal(outcomes.length, texts.length);
    const reversed = long.slice(0, -1).split(" ").reverse().join(" ");
    const expected = texts.map((text) => (text === long ? reversed : text.slice(0, -1)));
    assert.deepEqual(inOrder(outcomes), expected);
    assert.equal(summary.class, "bulk", "by its size");
  });

  trying(
    "of many inputs a bad one fails at its place, and its neighbours are done",
    async (open) => {
      const texts = numbers(400);
      texts[7] = "bad";
      texts[301] = `${magic.crash}.`;
      const { outcomes, summary } = await ask(open, requestOf(texts, { class: "bulk" }));
      const expected = numbers(400).map((text, at) =>
        at === 7 ? "input_too_long" : at === 301 ? "item_poison" : text.slice(0, -1),
      );
      assert.deepEqual(inOrder(outcomes), expected);
      assert.equal(summary.inputs, texts.length);
      const { totalMs, ...phases } = summary.timings;
      for (const ms of Object.values(phases)) assert(ms >= 0 && ms <= totalMs);
    },
  );

  trying("a poison fails, and its neighbours are done", async (open) => {
    const texts = numbers(8);
    texts[3] = `${magic.crash}.`;
    const { outcomes } = await ask(open, requestOf(texts));
    const expected = numbers(8).map((text, at) => (at === 3 ? "item_poison" : text.slice(0, -1)));
    assert.deepEqual(inOrder(outcomes), expected);
  });

  trying("tenant, class, model, id and time that is left come to whoever runs it", async (open) => {
    const inMs = 50_000;
    const more = { tenant: "robots", class: "bulk", model: "fake", id: "r-7" } as const;
    const request = requestOf(numbers(2), { ...more, deadlineAtMs: performance.now() + inMs });
    const { summary } = await ask(open, request);
    assert.equal(summary.class, "bulk");
    const {
      tenant,
      class: workClass,
      model,
      id,
      deadlineAtMs,
      fields,
    } = open.seen.at(-1)?.request ?? {};
    assert.deepEqual(
      { tenant, class: workClass, model, id, fields },
      { ...more, fields: request.fields },
    );
    const leftMs = (deadlineAtMs ?? 0) - performance.now();
    assert(leftMs > 0 && leftMs <= inMs, String(leftMs));
  });
}

function testRefusals(trying: Trying): void {
  trying("what cannot be is refused before anything", async (open) => {
    const wrong: readonly [string, Partial<SubmitRequest>][] = [
      ["not_found", { task: "nothing" }],
      ["model_not_found", { model: "nobody" }],
      ["model_not_found", { models: [] }],
      ["bad_request", { fields: { texts: numbers(1), beam: 4 } }],
    ];
    const onAccepted = (): never => assert.fail("it was accepted");
    for (const [code, more] of wrong) {
      const refusal = await codeOf(ask(open, requestOf(numbers(1), more), { onAccepted }));
      assert.equal(refusal.code, code);
      assert(isErrorCode(refusal.code));
    }
    const signal = AbortSignal.abort();
    const left = await codeOf(ask(open, requestOf(numbers(1)), { signal, onAccepted }));
    assert.equal(left.code, "cancelled");
    assert.equal(open.seen.length, 0);
  });

  trying("whoever looks at the inputs may refuse them, before anything is taken", async (open) => {
    const mine = new MillraceError("quota_exceeded", "enough");
    const onInputs = (inputs: readonly unknown[]): never => {
      assert.deepEqual(inputs, ["1.", "2."]);
      throw mine;
    };
    assert.equal(await codeOf(ask(open, requestOf(numbers(2)), { onInputs })), mine);
  });

  trying(
    "a full queue refuses at once, says when to come again, and has room again",
    async (open, model) => {
      const holding = ask(open, requestOf([`${magic.hold}.`, ...numbers(39)]));
      await arrived(open, 1);
      const refusal = await codeOf(ask(open, requestOf(numbers(30))));
      assert.equal(refusal.code, "queue_full");
      assert(refusal.retryable);
      assert((refusal.retryAfterMs ?? 0) > 0);
      const never = await codeOf(ask(open, requestOf(numbers(300))));
      assert.equal(never.code, "too_many_items");
      model.write("release");
      await holding;
      const { outcomes } = await ask(open, requestOf(numbers(30)));
      assert.equal(outcomes.length, 30);
    },
    { queuedItemsMax: 60 },
  );

  trying("one that takes no more refuses, and finishes what it has", async (open, model) => {
    const holding = ask(open, requestOf([`${magic.hold}.`, "1."]));
    await arrived(open, 1);
    open.refuseNew();
    assert.equal((await codeOf(ask(open, requestOf(numbers(1))))).code, "draining");
    model.write("release");
    const { outcomes } = await holding;
    assert.deepEqual(inOrder(outcomes), [String(magic.hold), "1"]);
  });
}

function testEnds(trying: Trying): void {
  trying("a caller who leaves ends it, and nothing of it runs on", async (open, model) => {
    const leaving = new AbortController();
    let had = 0;
    const onOutcome = (): void => {
      had += 1;
    };
    const asked = codeOf(
      ask(open, requestOf([`${magic.hold}.`]), { signal: leaving.signal, onOutcome }),
    );
    await arrived(open, 1);
    leaving.abort();
    assert.equal((await asked).code, "cancelled");
    const seen = open.seen[0]?.signal;
    if (seen !== undefined && !seen.aborted) {
      await new Promise((resolve) => seen.addEventListener("abort", resolve, { once: true }));
    }
    model.write("release");
    assert.equal(had, 0);
  });

  trying("what is not finished at its deadline fails alone", async (open, model) => {
    const request = requestOf([`${magic.hold}.`], { deadlineAtMs: performance.now() + 300 });
    const { outcomes, summary } = await ask(open, request);
    assert.deepEqual(inOrder(outcomes), ["deadline_exceeded"]);
    assert.equal(summary.inputs, 1);
    model.write("release");
    const { outcomes: later } = await ask(open, requestOf(["1."]));
    assert.deepEqual(inOrder(later), ["1"]);
  });

  for (const callback of ["onAccepted", "onOutcome"] as const) {
    trying(`what ${callback} throws ends the request, and no other`, async (open) => {
      const mine = new Error("mine");
      let calls = 0;
      const thrower = (): void => {
        calls += 1;
        throw mine;
      };
      await assert.rejects(ask(open, requestOf(numbers(20)), { [callback]: thrower }), mine);
      assert.equal(calls, 1);
      const { outcomes } = await ask(open, requestOf(["1."]));
      assert.deepEqual(inOrder(outcomes), ["1"]);
    });
  }
}

/** Until whoever runs items has got so many requests. */
async function arrived(open: OpenSubmit, count: number): Promise<void> {
  await until(() => open.seen.length >= count);
}
