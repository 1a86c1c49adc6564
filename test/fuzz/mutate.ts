/** Good inputs made bad, by chance: bytes, and JSON by its structure. */
import type { Random } from "../sim/random.js";

const counts = [-1, 0, 1, 2, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 1_000_000];
const edges = [31, 32, 53, 63, 64].flatMap((bits) => [2 ** bits - 1, 2 ** bits, -(2 ** bits)]);
const oddities = [0.5, -0, 1e-320, 1e308, 1e21, Number.NaN, Number.POSITIVE_INFINITY, -Infinity];

/** Where lengths, counts and ids turn over, and what is no number at all. */
const hostileNumbers: readonly number[] = [...counts, ...edges, ...oddities];

export function hostileNumber(random: Random): number {
  return random.pick(hostileNumbers);
}

/** An input of more bytes is rarely made: most mistakes need few, and what is quadratic shows in a few large ones. */
const usualBytesMax = 16 * 1024;
const largeBytesMax = 512 * 1024;
const largeChance = 0.0005;

export function bytesMax(random: Random): number {
  return random.chance(largeChance) ? largeBytesMax : usualBytesMax;
}

/** One to four changes; `others` are good inputs of which parts are put in. */
export function mutateBytes(
  random: Random,
  good: Uint8Array,
  others: readonly Uint8Array[] = [],
): Buffer {
  let bytes: Buffer = Buffer.from(good);
  const most = bytesMax(random);
  for (let left = random.int(1, 4); left > 0; left -= 1) {
    bytes = random.pick(byteChanges)(random, bytes, others);
    if (bytes.length > Math.max(most, good.length)) {
      bytes = bytes.subarray(0, Math.max(most, good.length));
    }
  }
  // Of its own: a parser that keeps a view must not keep what others see.
  return Buffer.from(bytes);
}

type ByteChange = (random: Random, bytes: Buffer, others: readonly Uint8Array[]) => Buffer;

const byteChanges: readonly ByteChange[] = [
  // Cut off.
  (random, bytes) => bytes.subarray(0, random.int(0, bytes.length)),
  // Cut off in front.
  (random, bytes) => bytes.subarray(random.int(0, Math.min(bytes.length, 16))),
  // A bit.
  (random, bytes) => {
    const at = random.int(0, bytes.length);
    if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ (1 << random.int(0, 7));
    return bytes;
  },
  // Some bytes of any kind.
  (random, bytes) => {
    const at = random.int(0, bytes.length);
    for (let place = at; place < Math.min(bytes.length, at + random.int(1, 8)); place += 1) {
      bytes[place] = random.int(0, 255);
    }
    return bytes;
  },
  // A number, as wide as lengths are, in either order.
  (random, bytes) => {
    const number = numberBytes(random);
    const at = random.int(0, Math.max(0, bytes.length - number.length));
    number.copy(bytes, at);
    return bytes;
  },
  // A number put in between.
  (random, bytes) =>
    spliced(bytes, random.int(0, bytes.length), random.pick([numberBytes, varintBytes])(random)),
  // A part left out.
  (random, bytes) => {
    const [from, until] = part(random, bytes.length);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(until)]);
  },
  // A part again and again.
  (random, bytes) => {
    const [from, until] = part(random, bytes.length);
    const length = Math.max(1, until - from);
    const most = Math.max(1, Math.floor(bytesMax(random) / length));
    const times = random.chance(0.05) ? most : Math.min(most, random.int(1, 16));
    const again = Buffer.concat(Array.from({ length: times }, () => bytes.subarray(from, until)));
    return spliced(bytes, until, again);
  },
  // A part of another one.
  (random, bytes, others) => {
    const other = others.length === 0 ? bytes : Buffer.from(random.pick(others));
    const [from, until] = part(random, other.length);
    return spliced(bytes, random.int(0, bytes.length), other.subarray(from, until));
  },
];

/** A number that counts something, written as it may be. */
function numberBytes(random: Random): Buffer {
  const number = hostileNumber(random);
  const whole = Number.isFinite(number) ? BigInt(Math.trunc(number)) : -1n;
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, whole));
  const cut = bytes.subarray(0, random.pick([1, 2, 4, 8]));
  return random.chance(0.5) ? cut : Buffer.from(cut).reverse();
}

function varintBytes(random: Random): Buffer {
  const number = hostileNumber(random);
  let rest = BigInt.asUintN(64, Number.isFinite(number) ? BigInt(Math.trunc(number)) : -1n);
  const bytes: number[] = [];
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) + 128);
  // Some without an end.
  return Buffer.from([...bytes, Number(rest) | (random.chance(0.1) ? 128 : 0)]);
}

function spliced(bytes: Buffer, at: number, between: Uint8Array): Buffer {
  return Buffer.concat([bytes.subarray(0, at), between, bytes.subarray(at)]);
}

function part(random: Random, length: number): readonly [from: number, until: number] {
  const from = random.int(0, length);
  return [
    from,
    Math.min(length, from + (random.chance(0.8) ? random.int(0, 32) : random.int(0, length))),
  ];
}

/** Stands in the text as it is. */
class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** The JSON of a good value in which one to three places were changed, as text that may be no JSON any more. */
export function mutateJson(random: Random, good: unknown): string {
  let value = good;
  for (let left = random.int(1, 3); left > 0; left -= 1) value = changed(random, value);
  const text = jsonOf(value).slice(0, 2 * largeBytesMax);
  if (random.chance(0.9)) return text;
  return mutateBytes(random, Buffer.from(text)).toString("utf8");
}

/** A copy with one change somewhere. */
function changed(random: Random, value: unknown): unknown {
  if (value instanceof JsonText) return hostileValue(random);
  if (Array.isArray(value)) {
    const list: unknown[] = [...(value as readonly unknown[])];
    if (list.length === 0 || random.chance(0.3)) return changedList(random, list);
    const at = random.int(0, list.length - 1);
    list[at] = changed(random, list[at]);
    return list;
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    if (entries.length === 0 || random.chance(0.3)) return changedObject(random, entries);
    const at = random.int(0, entries.length - 1);
    return objectOf(
      entries.map(([key, old], place) => [key, place === at ? changed(random, old) : old]),
    );
  }
  return hostileValue(random, value);
}

function changedList(random: Random, list: unknown[]): unknown {
  const at = random.int(0, list.length);
  const of = list[Math.min(at, list.length - 1)] ?? hostileValue(random);
  switch (random.int(0, 4)) {
    case 0:
      return list.toSpliced(at, 1);
    case 1:
      return list.toSpliced(at, 0, hostileValue(random));
    case 2:
      return list.toSpliced(at, 0, ...Array.from({ length: timesOf(random, of) }, () => of));
    case 3:
      return [];
    default:
      return hostileValue(random, list);
  }
}

function changedObject(random: Random, entries: [string, unknown][]): unknown {
  const at = random.int(0, entries.length);
  const [key = "a", of = null] = entries[Math.min(at, entries.length - 1)] ?? [];
  switch (random.int(0, 5)) {
    case 0:
      return objectOf(entries.toSpliced(at, 1));
    case 1:
      return objectOf(entries.toSpliced(at, 0, [random.pick(hostileKeys), hostileValue(random)]));
    case 2:
      // The same key twice, which only text can have.
      return new JsonText(
        `{${[...entries, [key, hostileValue(random)] as const].map(([name, value]) => `${JSON.stringify(name)}:${jsonOf(value)}`).join(",")}}`,
      );
    case 3:
      return objectOf(
        entries.toSpliced(at, 1, [`${key}${random.pick(["s", " ", "_", "\u0000"])}`, of]),
      );
    case 4: {
      const more = Array.from(
        { length: timesOf(random, of) },
        (_, index) => [`k${index}`, of] as const,
      );
      return objectOf([...entries, ...more]);
    }
    default:
      return hostileValue(random, entries);
  }
}

/** How often a value is said again: no more than makes a large input. */
function timesOf(random: Random, value: unknown): number {
  const most = Math.floor(largeBytesMax / (1 + jsonOf(value).length));
  return random.int(1, Math.max(1, Math.min(most, random.chance(0.01) ? 5_000 : 50)));
}

const hostileKeys = [
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "",
  "a",
  "\ud800",
  "x".repeat(300),
] as const;

/** `Object.fromEntries` takes `__proto__` for a name, as JSON does. */
function objectOf(entries: readonly (readonly [string, unknown])[]): object {
  return Object.fromEntries(entries);
}

/** Anything instead of the old value, or the old one in another form. */
function hostileValue(random: Random, old: unknown = null): unknown {
  switch (random.int(0, 9)) {
    case 0:
    case 1:
      return new JsonText(numberText(random));
    case 2:
      return hostileText(random);
    case 3:
      return typeof old === "string" ? old + hostileText(random) : jsonOf(old);
    case 4:
      return random.pick([null, true, false]);
    case 5:
      return [old];
    case 6:
      return { a: old };
    case 7:
      return random.pick([[], {}]);
    case 8: {
      const depth = random.chance(0.05) ? random.int(1, 20_000) : random.int(1, 40);
      const [open, close] = random.pick([
        ["[", "]"],
        ['{"a":', "}"],
      ] as const);
      return new JsonText(
        open.repeat(depth) + jsonOf(old) + close.repeat(random.chance(0.8) ? depth : 0),
      );
    }
    default:
      return new JsonText(
        random.pick([
          "",
          ",",
          "nul",
          "'a'",
          '"',
          '"\\',
          '"\\u12',
          "{",
          "]",
          "/**/1",
          "01",
          "+1",
          ".5",
        ]),
      );
  }
}

function numberText(random: Random): string {
  const number = hostileNumber(random);
  switch (random.int(0, 5)) {
    case 0:
      return Number.isFinite(number) ? number.toExponential() : "1e400";
    case 1:
      return Number.isFinite(number) ? String(BigInt(Math.trunc(number)) + 1n) : "-1e400";
    case 2:
      return "9".repeat(random.int(15, random.chance(0.05) ? 20_000 : 400));
    default:
      return String(number);
  }
}

const blanks = [
  "\n",
  "\t",
  " ",
  "\u0000",
  "\u0007",
  "\u00ad",
  "\u200b",
  "\u202e",
  "\ufeff",
  "\uffff",
];
const letters = [
  "a",
  "é",
  "ﬁ",
  "ß",
  "İ",
  "鱼",
  "ไทย",
  "\u0301",
  "\u0344",
  "\ufdfa",
  "\u1100\u1161",
];
const beyond = ["\ud83d\udc1f", "\ud800", "\udfff", "👩‍👩‍👧‍👦"];
const special = ["[CLS]", "[SEP]", "<unk>", "</s>", ">>zh<<", "▁", "##s", " ||| ", "w1", "hello"];
const syntax = ["__proto__", "${x}", "%00", "\\", '"', "<b>", "]]>"];
const textParts: readonly string[] = [...blanks, ...letters, ...beyond, ...special, ...syntax];

/** Mostly short; some are one thing many times over, which is where quadratic work shows. */
export function hostileText(random: Random): string {
  if (random.chance(0.1)) {
    const unit = random.pick(textParts);
    const most = Math.floor(bytesMax(random) / 4 / Math.max(1, unit.length));
    return unit.repeat(random.int(1, Math.max(1, most)));
  }
  return Array.from({ length: random.int(0, 12) }, () => random.pick(textParts)).join("");
}

/** As `JSON.stringify` has it, and `JsonText` as it is. Values here are trees of a depth that calls can have. */
function jsonOf(value: unknown): string {
  if (value instanceof JsonText) return value.text;
  if (Array.isArray(value)) return `[${value.map(jsonOf).join(",")}]`;
  if (typeof value === "object" && value !== null) {
    return `{${Object.entries(value)
      .map(([key, of]) => `${JSON.stringify(key)}:${jsonOf(of)}`)
      .join(",")}}`;
  }
  return JSON.stringify(value) ?? "null";
}
