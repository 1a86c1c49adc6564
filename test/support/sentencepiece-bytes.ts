/** Makes SentencePiece models by hand, right ones and wrong ones. */

export interface HandMadePiece {
  readonly piece: string | Uint8Array;
  readonly score?: number;
  /** 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte. */
  readonly type?: number;
}

export interface HandMadeModel {
  readonly pieces: readonly HandMadePiece[];
  /** 1 unigram, 2 BPE. */
  readonly modelType?: number;
  readonly byteFallback?: boolean;
  readonly suffix?: boolean;
  readonly charsmap?: Uint8Array;
  readonly addDummyPrefix?: boolean;
  readonly removeExtraWhitespaces?: boolean;
  readonly escapeWhitespaces?: boolean;
  readonly denormalizer?: Uint8Array;
}

/** What every model has. */
export const usualPieces: readonly HandMadePiece[] = [
  { piece: "<unk>", type: 2 },
  { piece: "<s>", type: 3 },
  { piece: "</s>", type: 3 },
];

export function sentencePieceBytes(model: HandMadeModel): Buffer {
  const pieces = model.pieces.map(({ piece, score, type }) =>
    bytesField(
      1,
      Buffer.concat([bytesField(1, piece), floatField(2, score ?? 0), numberField(3, type ?? 1)]),
    ),
  );
  const trainer = Buffer.concat([
    numberField(3, model.modelType ?? 1),
    numberField(24, model.suffix === true ? 1 : 0),
    numberField(35, model.byteFallback === true ? 1 : 0),
  ]);
  const flag = (field: number, value: boolean | undefined): Buffer =>
    value === undefined ? Buffer.alloc(0) : numberField(field, value ? 1 : 0);
  const normalizer = Buffer.concat([
    bytesField(1, "hand-made"),
    model.charsmap === undefined ? Buffer.alloc(0) : bytesField(2, model.charsmap),
    flag(3, model.addDummyPrefix),
    flag(4, model.removeExtraWhitespaces),
    flag(5, model.escapeWhitespaces),
  ]);
  const denormalizer =
    model.denormalizer === undefined ? [] : [bytesField(5, bytesField(2, model.denormalizer))];
  return Buffer.concat([
    ...pieces,
    bytesField(2, trainer),
    bytesField(3, normalizer),
    ...denormalizer,
  ]);
}

export function bytesField(id: number, value: string | Uint8Array): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([varint(id * 8 + 2), varint(bytes.length), bytes]);
}

function numberField(id: number, value: number): Buffer {
  return Buffer.concat([varint(id * 8), varint(value)]);
}

function floatField(id: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([varint(id * 8 + 5), bytes]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}
