/**
 * A flame graph: who called stands below whom it called, as wide as it took. An SVG without a script, for a light and a dark page; the
 * same bytes for the same frames. What a frame is and took is its title, which a browser shows where the pointer rests.
 */
import { type ProfileFrameKind, profileFrameKinds } from "millrace-client/wire";
import { escaped, fixed, shades } from "./svg.js";

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

// In pixels; texts stand on their base line.
const width = 1_200;
const margin = 12;
const titleLine = 26;
const noteLine = 44;
const legendTop = 56;
/** The sample of a colour, the name beside it, and the gap before the next one. */
const swatch = { size: 12, toName: 17, toNext: 36, nameLine: 10 } as const;
const framesTop = 84;
const frame = { height: 18, nameLine: 13, toName: 3 } as const;
/** Narrower ones are left out: nobody sees them. */
const frameWidthMin = 0.6;
/** Of the font of names, and how few of a name are worth showing. */
const characterWidth = 6.3;
const charactersMin = 3;

/** For people, in the drawing and beside its shares. */
export const kindNames: Readonly<Record<ProfileFrameKind, string>> = {
  javascript: "Millrace's JavaScript",
  node: "Node",
  collection: "garbage collection",
  runtime: "ONNX Runtime",
  kernel: "its kernels",
  idle: "idle",
};
const colours: Readonly<Record<ProfileFrameKind, readonly [light: string, dark: string]>> = {
  javascript: ["#9fd0f2", "#1d4f75"],
  node: ["#d3d7dc", "#3c434b"],
  collection: ["#f0c6de", "#6d3a58"],
  runtime: ["#f7e39c", "#675a12"],
  kernel: ["#f8c39a", "#7a4216"],
  idle: ["#eef0f2", "#22272e"],
};

export function drawFlame({ title, note, root }: Flame): string {
  const scale = (width - 2 * margin) / Math.max(root.ms, Number.MIN_VALUE);
  const depth = depthOf(root, scale);
  const height = framesTop + depth * frame.height + margin;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<style>${style()}</style>`,
    `<rect class="page" width="${width}" height="${height}" rx="6"/>`,
    `<text class="title" x="${margin}" y="${titleLine}">${escaped(title)}</text>`,
    `<text class="note" x="${margin}" y="${noteLine}">${escaped(note)}</text>`,
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
    const kinds = profileFrameKinds
      .map((kind) => `.${kind}{fill:${colours[kind][shade]}}`)
      .join("");
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
  return profileFrameKinds.flatMap((kind) => {
    const at = left;
    left += kindNames[kind].length * characterWidth + swatch.toNext;
    return [
      `<rect class="${kind}" x="${fixed(at)}" y="${legendTop}" width="${swatch.size}" height="${swatch.size}" rx="2"/>`,
      `<text class="note" x="${fixed(at + swatch.toName)}" y="${legendTop + swatch.nameLine}">${escaped(kindNames[kind])}</text>`,
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
    const top = bottom - frame.height;
    const share = ((100 * child.ms) / whole).toFixed(1);
    const told = `<title>${escaped(child.name)}: ${child.ms.toFixed(1)} ms, ${share}%</title>`;
    const box = `<rect class="${child.kind}" x="${fixed(at)}" y="${top}" width="${fixed(wide)}" height="${frame.height}">${told}</rect>`;
    const name = fitting(child.name, wide - 2 * frame.toName);
    const label =
      name === ""
        ? []
        : [
            `<text x="${fixed(at + frame.toName)}" y="${top + frame.nameLine}" pointer-events="none">${escaped(name)}</text>`,
          ];
    return [box, ...label, ...above(child, { left: at, bottom: top, scale, whole })];
  });
}

function seen(frames: readonly FlameFrame[], scale: number): readonly FlameFrame[] {
  return frames
    .filter(({ ms }) => ms * scale >= frameWidthMin)
    .sort((first, second) => second.ms - first.ms);
}

function depthOf({ children }: FlameFrame, scale: number): number {
  const depths = seen(children, scale).map((child) => 1 + depthOf(child, scale));
  return Math.max(0, ...depths);
}

function fitting(name: string, pixels: number): string {
  const characters = Math.floor(pixels / characterWidth);
  if (name.length <= characters) return name;
  return characters < charactersMin ? "" : `${name.slice(0, characters - 1)}…`;
}
