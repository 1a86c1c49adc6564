/** What came of it: as the task has it. */
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
import { countText, shareText } from "../format.js";
import { Table } from "../parts/table.js";
import type { Asking } from "./asking.js";
import { Cosines } from "./cosines.js";
import { Failure, Words } from "./words.js";

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

export interface Outcomes<Outcome> {
  readonly texts: readonly string[];
  readonly outcomes: readonly Outcome[];
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
