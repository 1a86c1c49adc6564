import type {
  ClassifyOutcome,
  EmbedOutcome,
  InferOutcome,
  OcrOutcome,
  ReplySummary,
  RerankOutcome,
  TranslateOutcome,
} from "millrace-client/wire";
import type { JSX } from "preact";
import { countText, msText, shareText } from "../format.js";
import { More, Table } from "../parts/panel.js";
import type { Asking } from "./asking.js";

export interface Answer {
  readonly asked: Asking;
  /** As the task's route replies. */
  readonly reply: ReplySummary & { readonly results: readonly unknown[] };
  /** As this page saw it. */
  readonly tookMs: number;
}

export function Results({ answer: { asked, reply } }: { readonly answer: Answer }): JSX.Element {
  const texts = "texts" in asked ? asked.texts : [];
  switch (asked.task) {
    case "translate":
      return <Translations texts={texts} outcomes={reply.results as readonly TranslateOutcome[]} />;
    case "embed":
      return <Cosines texts={texts} outcomes={reply.results as readonly EmbedOutcome[]} />;
    case "classify":
      return <Labels texts={texts} outcomes={reply.results as readonly ClassifyOutcome[]} />;
    case "rerank":
      return <Ranks texts={texts} outcomes={reply.results as readonly RerankOutcome[]} />;
    case "ocr":
      return <Lines outcomes={reply.results as readonly OcrOutcome[]} />;
    case "infer":
      return <Tensors outcomes={reply.results as readonly InferOutcome[]} />;
  }
}

interface Outcomes<Outcome> {
  readonly texts: readonly string[];
  readonly outcomes: readonly Outcome[];
}

type Failed = { readonly error: { readonly code: string; readonly message: string } };

/** In the direction of its own script. */
function Words({ of }: { readonly of: string | undefined }): JSX.Element {
  return (
    <span class="words" dir="auto">
      {of}
    </span>
  );
}

function Failure({ error }: Failed): JSX.Element {
  return <span class="reason">{`${error.code}: ${error.message}`}</span>;
}

function Translations({ texts, outcomes }: Outcomes<TranslateOutcome>): JSX.Element {
  return (
    <Table
      caption="Translations"
      rows={outcomes.map((outcome, at) => ({ outcome, at }))}
      rowKey={({ at }) => String(at)}
      rowsMax={100}
      empty="Nothing came."
      columns={[
        { title: "Text", cell: ({ at }) => <Words of={texts[at]} /> },
        {
          title: "Translation",
          cell: ({ outcome }) =>
            "error" in outcome ? <Failure {...outcome} /> : <Words of={outcome.text} />,
        },
        {
          title: "Tokens",
          isNumber: true,
          cell: ({ outcome }) =>
            "error" in outcome ? "–" : `${outcome.inputTokens} → ${outcome.outputTokens}`,
        },
      ]}
    />
  );
}

const comparedMax = 12;

/** How near each two are. */
function Cosines({ texts, outcomes }: Outcomes<EmbedOutcome>): JSX.Element {
  const compared = outcomes.slice(0, comparedMax);
  const shown = compared.map((outcome) => vectorOf(outcome));
  const [width] = shown.flatMap((vector) => (vector === null ? [] : [vector.length]));
  return (
    <div class="scroll">
      <table class="cosines">
        <caption>
          Cosine of each two{width === undefined ? "" : `; vectors of ${width} numbers`}
        </caption>
        <thead>
          <tr>
            <td />
            {shown.map((_, at) => (
              <th key={at} scope="col" class="number" title={texts[at]}>
                {at + 1}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map((left, row) => (
            <tr key={row}>
              <th scope="row">
                {row + 1} <Words of={texts[row]} />
              </th>
              {shown.map((right, column) => {
                const cosine = left === null || right === null ? null : cosineOf(left, right);
                return (
                  <td
                    key={column}
                    class="number"
                    style={{ "--near": Math.max(0, cosine ?? 0).toFixed(3) }}
                  >
                    {cosine === null ? "–" : cosine.toFixed(2).replace("-0.00", "0.00")}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      <More shown={compared} of={outcomes.length} isOpen={false} onTurn={null} what="the texts" />
    </div>
  );
}

/** Null where there is none, or one for each token. */
function vectorOf(outcome: EmbedOutcome): readonly number[] | null {
  if ("error" in outcome || typeof outcome.embedding === "string") return null;
  const numbers = outcome.embedding.filter((each) => typeof each === "number");
  return numbers.length === outcome.embedding.length ? numbers : null;
}

function cosineOf(left: readonly number[], right: readonly number[]): number {
  let [dot, leftSquares, rightSquares] = [0, 0, 0];
  for (const [at, value] of left.entries()) {
    const other = right[at] ?? 0;
    dot += value * other;
    leftSquares += value * value;
    rightSquares += other * other;
  }
  return dot / Math.sqrt(leftSquares * rightSquares);
}

function Labels({ texts, outcomes }: Outcomes<ClassifyOutcome>): JSX.Element {
  return (
    <ul class="labels">
      {outcomes.map((outcome, at) => (
        <li key={at}>
          <Words of={texts[at]} />
          {"error" in outcome ? (
            <Failure {...outcome} />
          ) : (
            <Table
              caption={`Labels of ${texts[at] ?? "the picture"}`}
              rows={outcome.labels}
              rowKey={({ label }) => label}
              empty="It has no label."
              columns={[
                { title: "Label", cell: ({ label }) => label },
                {
                  title: "Score",
                  isNumber: true,
                  cell: ({ score }) =>
                    score >= 0 && score <= 1 ? shareText(score) : score.toFixed(3),
                },
              ]}
            />
          )}
        </li>
      ))}
    </ul>
  );
}

function Ranks({ texts, outcomes }: Outcomes<RerankOutcome>): JSX.Element {
  const scoreOf = (outcome: RerankOutcome): number =>
    "error" in outcome ? -Infinity : outcome.score;
  return (
    <Table
      caption="Texts, the best first"
      rows={outcomes
        .map((outcome, at) => ({ outcome, at }))
        .toSorted((left, right) => scoreOf(right.outcome) - scoreOf(left.outcome))}
      rowKey={({ at }) => String(at)}
      rowsMax={100}
      empty="Nothing came."
      columns={[
        { title: "Text", cell: ({ at }) => <Words of={texts[at]} /> },
        {
          title: "Score",
          isNumber: true,
          cell: ({ outcome }) =>
            "error" in outcome ? <Failure {...outcome} /> : outcome.score.toFixed(4),
        },
      ]}
    />
  );
}

function Lines({ outcomes: [outcome] }: { readonly outcomes: readonly OcrOutcome[] }): JSX.Element {
  if (outcome === undefined) return <p class="empty">Nothing came.</p>;
  if ("error" in outcome) return <Failure {...outcome} />;
  return (
    <Table
      caption={`Lines on a picture of ${outcome.width} × ${outcome.height}`}
      rows={outcome.lines.map((line, at) => ({ line, at }))}
      rowKey={({ at }) => String(at)}
      rowsMax={200}
      empty="There is no text on it."
      columns={[
        { title: "Line", cell: ({ line }) => <Words of={line.text} /> },
        { title: "Sure", isNumber: true, cell: ({ line }) => shareText(line.score) },
      ]}
    />
  );
}

const elementsMax = 32;

function Tensors({
  outcomes: [outcome],
}: {
  readonly outcomes: readonly InferOutcome[];
}): JSX.Element {
  if (outcome === undefined) return <p class="empty">Nothing came.</p>;
  if ("error" in outcome) return <Failure {...outcome} />;
  return (
    <Table
      caption="Outputs"
      rows={Object.entries(outcome.outputs)}
      rowKey={([name]) => name}
      empty="There is no output."
      columns={[
        { title: "Output", cell: ([name]) => name },
        { title: "Type", cell: ([, { datatype, shape }]) => `${datatype} [${shape.join(", ")}]` },
        {
          title: "Numbers",
          cell: ([, { data }]) =>
            `${data.slice(0, elementsMax).join(", ")}${data.length > elementsMax ? ` and ${countText(data.length - elementsMax)} more` : ""}`,
        },
      ]}
    />
  );
}

/** One behind the other, as long as they took; what is left of the time was on the way, and in the front. */
export function Waterfall({ answer: { reply, tookMs } }: { readonly answer: Answer }): JSX.Element {
  const { prepareMs, queueMs, computeMs, totalMs } = reply.timings;
  const around = Math.max(0, tookMs - totalMs);
  const steps = [
    { title: "on the way there", ms: around / 2, tone: "c8" },
    { title: "prepare", ms: prepareMs, tone: "c1" },
    { title: "queue", ms: queueMs, tone: "c2" },
    { title: "compute", ms: computeMs, tone: "c0" },
    {
      title: "between them",
      ms: Math.max(0, totalMs - prepareMs - queueMs - computeMs),
      tone: "c3",
    },
    { title: "on the way back", ms: around / 2, tone: "c8" },
  ];
  const whole = Math.max(
    tookMs,
    steps.reduce((sum, { ms }) => sum + ms, 0),
    0.001,
  );
  let from = 0;
  return (
    <section class="waterfall" aria-label="Where the time went">
      <h3>
        Where the time went: {msText(tookMs)}, {msText(totalMs)} of it in the server
      </h3>
      <ol>
        {steps.map(({ title, ms, tone }) => {
          const left = (from / whole) * 100;
          from += ms;
          return (
            <li key={title}>
              <span>{title}</span>
              <span class="way">
                <span
                  class={`step ${tone}`}
                  style={{ left: `${left}%`, width: `${(ms / whole) * 100}%` }}
                />
              </span>
              <span class="number">{msText(ms)}</span>
            </li>
          );
        })}
      </ol>
      <p class="note">
        {[
          reply.class,
          ...Object.entries(reply.pipelines).map(([id, items]) => `${items} in ${id}`),
          `request ${reply.id}`,
        ].join(" · ")}
        . The way there and back is measured together, and shown in halves.
      </p>
    </section>
  );
}
