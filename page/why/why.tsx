/** READ FIRST. What the doctor finds, as the page shows it. */
import type { Finding } from "millrace-client/wire";
import type { JSX } from "preact";
import { More, useOpened } from "../parts/opened.js";
import { Panel } from "../parts/panel.js";
import { Pill } from "../parts/pill.js";
import { Prose } from "../parts/prose.js";

const findingsMax = 30;

/** The worst first. */
export function Why({ findings }: { readonly findings: readonly Finding[] | null }): JSX.Element {
  if (findings === null)
    return (
      <Panel title="Why">
        <p class="empty">
          Nobody has looked: this server tells of no findings (or it is asked by polls, which bring
          none).
        </p>
      </Panel>
    );
  if (findings.length === 0)
    return (
      <Panel title="Why">
        <p class="empty">
          Nothing is wrong: the doctor looked at the last minutes and found nothing that holds work
          up.
        </p>
      </Panel>
    );
  return <Findings findings={findings} />;
}

function Findings({ findings }: { readonly findings: readonly Finding[] }): JSX.Element {
  const list = useOpened(findings, findingsMax);
  return (
    <div class="findings">
      {list.shown.map((finding, at) => (
        <Panel
          // A code may be there twice: of two models, say.
          key={`${finding.code} ${at}`}
          title={finding.title}
          class={`finding ${finding.severity}`}
          note={
            <Pill tone={finding.severity === "problem" ? "bad" : "busy"} text={finding.severity} />
          }
        >
          <ul>
            {finding.evidence.map((line) => (
              <li key={line}>
                <Prose text={line} />
              </li>
            ))}
          </ul>
          <dl>
            <dt>Change</dt>
            <dd>
              <Prose text={finding.change} />
            </dd>
            <dt>Expect</dt>
            <dd>
              <Prose text={finding.expect} />
            </dd>
          </dl>
        </Panel>
      ))}
      <More {...list} of={findings.length} what="the findings" />
    </div>
  );
}
