/**
 * A flame graph: who called stands below whom it called, as wide as it took. An SVG without a script, for a light and a dark page; the
 * same bytes for the same frames. What a frame is and took is its title, which a browser shows where the pointer rests.
 */
import type { ProfileFrameKind } from "millrace-client/wire";
import { escaped, fixed, shades } from "./svg.js";

const frameKinds = [
  "engine",
  "node",
  "collection",
  "runtime",
  "kernel",
  "idle",
] as const satisfies readonly ProfileFrameKind[];

export interface FlameFrame {
  readonly name: string;
  readonly kind: ProfileFrameKind;
  /** Of its own and of those it called. */
  readonly ms: number;
  readonly children: readonly FlameFrame[];
}

export interface Flame {
  readonly title: string;
  /** Of what it is: the model, the machine, the command. */
  readonly note: string;
  /** Its children are the lowest row. */
  readonly root: FlameFrame;
}

const width = 1_200;
const margin = 12;
const rowHeight = 18;
const head = 84;
/** Narrower ones are left out: nobody sees them. */
const widthMin = 0.6;
const characterWidth = 6.3;

const kindNames: Readonly<Record<ProfileFrameKind, string>> = {
  engine: "Millrace's JavaScript",
  node: "Node",
  collection: "garbage collection",
  runtime: "ONNX Runtime around its kernels",
  kernel: "kernels",
  idle: "idle",
};
const colours: Readonly<Record<ProfileFrameKind, readonly [light: string, dark: string]>> = {
  engine: ["#9fd0f2", "#1d4f75"],
  node: ["#d3d7dc", "#3c434b"],
  collection: ["#f0c6de", "#6d3a58"],
  runtime: ["#f7e39c", "#675a12"],
  kernel: ["#f8c39a", "#7a4216"],
  idle: ["#eef0f2", "#22272e"],
};

export function drawFlame({ title, note, root }: Flame): string {
  const scale = (width - 2 * margin) / Math.max(root.ms, Number.MIN_VALUE);
  const depth = depthOf(root, scale);
  const height = head + depth * rowHeight + margin;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${style()}</style>`,
    `<rect class="page" width="${width}" height="${height}" rx="6"/>`,
    `<text class="title" x="${margin}" y="26">${escaped(title)}</text>`,
    `<text class="note" x="${margin}" y="44">${escaped(note)}</text>`,
    ...legend(),
    ...above(root, { left: margin, bottom: height - margin, scale, whole: root.ms }),
    "</svg>",
  ];
  return `${parts.join("\n")}\n`;
}

/** Plain rules, without variables: not everything that draws an SVG knows those. */
function style(): string {
  const shaded = (shade: 0 | 1): string => {
    const { page, ink, soft } = shades[shade];
    const kinds = frameKinds.map((kind) => `.${kind}{fill:${colours[kind][shade]}}`).join("");
    return `.page{fill:${page}}text{fill:${ink}}.note{fill:${soft}}rect{stroke:${page}}${kinds}`;
  };
  return [
    "text{font:11px ui-monospace,monospace}.title{font:600 15px system-ui,sans-serif}.note{font:11px system-ui,sans-serif}rect{stroke-width:.6}",
    shaded(0),
    `@media (prefers-color-scheme:dark){${shaded(1)}}`,
  ].join("\n");
}

function legend(): string[] {
  let left = margin;
  return frameKinds.flatMap((kind) => {
    const at = left;
    left += kindNames[kind].length * characterWidth + 36;
    return [
      `<rect class="${kind}" x="${fixed(at)}" y="56" width="12" height="12" rx="2"/>`,
      `<text class="note" x="${fixed(at + 17)}" y="66">${escaped(kindNames[kind])}</text>`,
    ];
  });
}

interface Place {
  readonly left: number;
  readonly bottom: number;
  /** Pixels of a millisecond. */
  readonly scale: number;
  readonly whole: number;
}

/** The frames that this one called, the widest first, and what stands on them. */
function above({ children }: FlameFrame, place: Place): string[] {
  const { bottom, scale, whole } = place;
  let { left } = place;
  return seen(children, scale).flatMap((child) => {
    const at = left;
    const wide = child.ms * scale;
    left += wide;
    const top = bottom - rowHeight;
    const share = ((100 * child.ms) / whole).toFixed(1);
    const told = `<title>${escaped(child.name)}: ${child.ms.toFixed(1)} ms, ${share}%</title>`;
    const box = `<rect class="${child.kind}" x="${fixed(at)}" y="${top}" width="${fixed(wide)}" height="${rowHeight}">${told}</rect>`;
    const name = fitting(child.name, wide - 6);
    const label =
      name === ""
        ? []
        : [
            `<text x="${fixed(at + 3)}" y="${top + 13}" pointer-events="none">${escaped(name)}</text>`,
          ];
    return [box, ...label, ...above(child, { left: at, bottom: top, scale, whole })];
  });
}

function seen(frames: readonly FlameFrame[], scale: number): readonly FlameFrame[] {
  return frames
    .filter(({ ms }) => ms * scale >= widthMin)
    .sort((first, second) => second.ms - first.ms);
}

function depthOf({ children }: FlameFrame, scale: number): number {
  const depths = seen(children, scale).map((child) => 1 + depthOf(child, scale));
  return Math.max(0, ...depths);
}

function fitting(name: string, pixels: number): string {
  const characters = Math.floor(pixels / characterWidth);
  if (name.length <= characters) return name;
  return characters < 3 ? "" : `${name.slice(0, characters - 1)}…`;
}
