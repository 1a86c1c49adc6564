/** The last two minutes as a line that is filled below. */
import type { JSX } from "preact";
import { secondsMax } from "../live/history.js";

interface SparkProps {
  readonly values: readonly number[];
  /** A fainter line above. */
  readonly above?: readonly number[];
  readonly tone?: string;
}

const height = 30;

/** For the eye only: the number beside it says what it is. The last value is at the right, whatever there is of them. */
export function Spark({ values, above = [], tone = "" }: SparkProps): JSX.Element {
  const most = Math.max(...values, ...above, 1e-9);
  const points = pointsOf(values, most);
  const from = secondsMax - values.length;
  return (
    <svg
      class={`spark ${tone}`}
      viewBox={`0 0 ${secondsMax} ${height}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      {above.length > 1 && <path class="spark-above" d={`M${pointsOf(above, most).join("L")}`} />}
      {values.length > 1 && (
        <>
          <path
            class="spark-fill"
            d={`M${from},${height}L${points.join("L")}L${secondsMax - 1},${height}Z`}
          />
          <path class="spark-line" d={`M${points.join("L")}`} />
        </>
      )}
    </svg>
  );
}

function pointsOf(values: readonly number[], most: number): string[] {
  const from = secondsMax - values.length;
  return values.map((value, at) => {
    const y = height - 1 - (Math.max(0, value) / most) * (height - 3);
    return `${from + at},${y.toFixed(1)}`;
  });
}
