import type { JSX } from "preact";

interface MeterProps {
  readonly label: string;
  readonly value: number;
  /** 0: there is no limit. */
  readonly max: number;
  readonly text: string;
}

/** How much of a limit is taken. */
export function Meter({ label, value, max, text }: MeterProps): JSX.Element {
  const share = max <= 0 ? 0 : Math.min(1, value / max);
  const tone = share > 0.9 ? "bad" : share > 0.7 ? "busy" : "good";
  return (
    <div class="meter">
      <span class="meter-label">{label}</span>
      <span class="meter-text">{text}</span>
      {max > 0 && (
        <span
          class="meter-bar"
          role="meter"
          aria-label={label}
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={Math.round(share * 100)}
          aria-valuetext={text}
        >
          <span class={`meter-fill ${tone}`} style={{ width: `${share * 100}%` }} />
        </span>
      )}
    </div>
  );
}
