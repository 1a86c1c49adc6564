import type { JSX } from "preact";
import { msText } from "../format.js";
import type { Answer } from "./results.js";

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
