/**
 * Figures as a drawing: what a `Plot` says becomes an SVG, the same bytes for the same plot. Small, without a script, and readable on
 * a light and on a dark page.
 */
import { escaped, fixed, shades } from "#src/profile/svg.js";
import { ticksOf } from "./ticks.js";

export interface Plot {
  /** Of its file. */
  readonly name: string;
  readonly title: string;
  /** Of what it is: the model, the machine, the command. */
  readonly note: string;
  readonly mark: "bars" | "lines";
  readonly x: { readonly label: string; readonly categories: readonly string[] };
  readonly y: { readonly label: string; readonly scale: "linear" | "log" };
  readonly series: readonly Series[];
}

interface Series {
  readonly name: string;
  /** One of each category; null: not measured. */
  readonly points: readonly (Point | null)[];
}

/** Over the rounds; drawn with a line from the least to the most. */
export interface Point {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

const width = 760;
const frame = { left: 64, right: width - 16, top: 86, bottom: 350 };
const labelTop = frame.bottom + 40;
const legendTop = labelTop + 16;
/** Told apart without red and green (Okabe and Ito), on white and on black. */
const colours = [
  ["#0072b2", "#56b4e9"],
  ["#d55e00", "#f08a3c"],
  ["#009e73", "#2fc79b"],
  ["#a65a8a", "#dd9cc3"],
  ["#7a6a00", "#e6c84a"],
  ["#555555", "#aaaaaa"],
] as const;
const legendCharacter = 6.4;
const legendGap = 34;
const legendRow = 22;

export function drawPlot(plot: Plot): string {
  const y = scaleOf(plot);
  const { marks: names, bottom: height } = legend(plot);
  const marks = plot.mark === "bars" ? bars(plot, y) : lines(plot, y);
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(plot.title)}</title>`,
    `<style>${style()}</style>`,
    `<rect class="page" width="${width}" height="${height}" rx="6"/>`,
    textAt({ x: 16, y: 26, class: "title" }, plot.title),
    textAt({ x: 16, y: 44, class: "note" }, plot.note),
    ...axes(plot, y),
    ...marks,
    ...names,
    "</svg>",
  ];
  return `${parts.join("\n")}\n`;
}

/** Plain rules, without variables: not everything that draws an SVG knows those. */
function style(): string {
  return [
    "text{font:12px system-ui,sans-serif}.title{font-size:15px;font-weight:600}.note{font-size:11px}",
    ".line{fill:none;stroke-width:2}.spread{stroke-width:1.2}",
    shaded(0),
    `@media (prefers-color-scheme:dark){${shaded(1)}}`,
  ].join("\n");
}

function shaded(shade: 0 | 1): string {
  const { page, ink, soft, grid } = shades[shade];
  const series = colours.map(
    (pair, at) => `.bar.s${at},.dot.s${at}{fill:${pair[shade]}}.line.s${at}{stroke:${pair[shade]}}`,
  );
  const own = `.page{fill:${page}}text{fill:${soft}}.title{fill:${ink}}.grid{stroke:${grid}}.spread{stroke:${ink}}`;
  return `${own}${series.join("")}`;
}

interface Scale {
  readonly ticks: readonly number[];
  /** From the top of the picture. */
  at(value: number): number;
}

function scaleOf({ series, y, mark }: Plot): Scale {
  const points = series.flatMap((each) => each.points.filter((point) => point !== null));
  const most = Math.max(...points.map((point) => point.most), Number.MIN_VALUE);
  const least = Math.min(...points.map((point) => point.least), most);
  const isLog = y.scale === "log" && least > 0;
  // The height of a bar means something only from zero.
  const from = isLog ? least : mark === "bars" ? 0 : Math.min(0, least);
  const ticks = ticksOf({ from, to: most, scale: isLog ? "log" : "linear" });
  const [low, high] = [ticks[0] ?? 0, ticks.at(-1) ?? 1];
  const of = isLog ? Math.log : (value: number) => value;
  const share = (value: number) => (of(Math.max(value, low)) - of(low)) / (of(high) - of(low));
  return { ticks, at: (value) => frame.bottom - share(value) * (frame.bottom - frame.top) };
}

function axes({ x, y }: Plot, scale: Scale): string[] {
  const slot = slotOf(x.categories.length);
  return [
    ...scale.ticks.flatMap((tick) => {
      const top = scale.at(tick);
      return [
        `<line class="grid" x1="${frame.left}" x2="${frame.right}" y1="${fixed(top)}" y2="${fixed(top)}"/>`,
        textAt({ x: frame.left - 8, y: top + 4, anchor: "end" }, shortNumber(tick)),
      ];
    }),
    ...x.categories.map((category, at) =>
      textAt({ x: slot.middle(at), y: frame.bottom + 20, anchor: "middle" }, category),
    ),
    textAt({ x: (frame.left + frame.right) / 2, y: labelTop, anchor: "middle" }, x.label),
    textAt({ x: frame.left - 48, y: frame.top - 14 }, y.label),
  ];
}

function bars({ series, x }: Plot, scale: Scale): string[] {
  const slot = slotOf(x.categories.length);
  const each = (0.76 * slot.width) / Math.max(1, series.length);
  return series.flatMap(({ points }, nth) =>
    points.flatMap((point, at) => {
      if (point === null) return [];
      const left = slot.middle(at) - (0.76 * slot.width) / 2 + nth * each;
      const top = scale.at(point.median);
      const [barWidth, barHeight] = [each * 0.9, frame.bottom - top];
      return [
        `<rect class="bar ${colourOf(nth)}" x="${fixed(left)}" y="${fixed(top)}" width="${fixed(barWidth)}" height="${fixed(barHeight)}"/>`,
        spreadLine(left + barWidth / 2, point, scale),
      ];
    }),
  );
}

function lines({ series, x }: Plot, scale: Scale): string[] {
  const slot = slotOf(x.categories.length);
  return series.flatMap(({ points }, nth) => {
    const places = points.flatMap((point, at) =>
      point === null ? [] : [{ point, left: slot.middle(at), top: scale.at(point.median) }],
    );
    const path = places.map(({ left, top }) => `${fixed(left)},${fixed(top)}`).join(" ");
    return [
      `<polyline class="line ${colourOf(nth)}" points="${path}"/>`,
      ...places.flatMap(({ point, left, top }) => [
        spreadLine(left, point, scale),
        `<circle class="dot ${colourOf(nth)}" cx="${fixed(left)}" cy="${fixed(top)}" r="3.5"/>`,
      ]),
    ];
  });
}

function spreadLine(left: number, { least, most }: Point, scale: Scale): string {
  const [top, bottom] = [scale.at(most), scale.at(least)];
  return `<line class="spread" x1="${fixed(left)}" x2="${fixed(left)}" y1="${fixed(top)}" y2="${fixed(bottom)}"/>`;
}

/** Below the axes, in as many rows as it needs. */
function legend({ series }: Plot): { readonly marks: readonly string[]; readonly bottom: number } {
  let [left, top] = [16, legendTop];
  const marks = series.flatMap(({ name }, nth) => {
    const wide = name.length * legendCharacter + legendGap;
    if (left > 16 && left + wide > width) [left, top] = [16, top + legendRow];
    const at = left;
    left += wide;
    return [
      `<rect class="bar ${colourOf(nth)}" x="${fixed(at)}" y="${top}" width="11" height="11" rx="2"/>`,
      textAt({ x: at + 16, y: top + 10 }, name),
    ];
  });
  return { marks, bottom: top + legendRow };
}

function slotOf(categories: number): { readonly width: number; middle(at: number): number } {
  const slot = (frame.right - frame.left) / Math.max(1, categories);
  return { width: slot, middle: (at) => frame.left + (at + 0.5) * slot };
}

interface Place {
  readonly x: number;
  readonly y: number;
  readonly class?: string;
  readonly anchor?: "end" | "middle";
}

function textAt({ x, y, class: name, anchor }: Place, text: string): string {
  const of = name === undefined ? "" : ` class="${name}"`;
  const to = anchor === undefined ? "" : ` text-anchor="${anchor}"`;
  return `<text x="${fixed(x)}" y="${fixed(y)}"${of}${to}>${escaped(text)}</text>`;
}

function colourOf(nth: number): string {
  return `s${nth % colours.length}`;
}

function shortNumber(value: number): string {
  return value >= 1_000 && value % 100 === 0
    ? `${Number((value / 1_000).toFixed(1))}k`
    : String(Number(value.toPrecision(6)));
}
