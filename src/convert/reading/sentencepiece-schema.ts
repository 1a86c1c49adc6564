/** The part of SentencePiece's protobuf schema (sentencepiece_model.proto) that is read. Numbers and names are its own. */
import protobuf from "protobufjs";

type Field = readonly [name: string, type: string, id: number, standard?: unknown];

const messages: Readonly<Record<string, readonly Field[]>> = {
  SentencePiece: [
    ["piece", "bytes", 1],
    ["score", "float", 2],
    ["type", "int32", 3, 1],
  ],
  TrainerSpec: [
    ["modelType", "int32", 3, 1],
    ["treatWhitespaceAsSuffix", "bool", 24],
    ["byteFallback", "bool", 35],
  ],
  NormalizerSpec: [
    ["precompiledCharsmap", "bytes", 2],
    ["addDummyPrefix", "bool", 3, true],
    ["removeExtraWhitespaces", "bool", 4, true],
    ["escapeWhitespaces", "bool", 5, true],
  ],
};

/** Fields of ModelProto, which is read one by one: a file of two million empty pieces must not become objects first. */
export const modelFields = { pieces: 1, trainer: 2, normalizer: 3, denormalizer: 5 } as const;

export const pieceType = {
  normal: 1,
  unknown: 2,
  control: 3,
  userDefined: 4,
  unused: 5,
  byte: 6,
} as const;

export const modelTypes: Readonly<Record<number, string>> = {
  1: "unigram",
  2: "BPE",
  3: "word",
  4: "character",
};

export interface PieceMessage {
  readonly piece: Uint8Array;
  readonly score: number;
  readonly type: number;
}

export interface TrainerMessage {
  readonly modelType: number;
  readonly treatWhitespaceAsSuffix: boolean;
  readonly byteFallback: boolean;
}

export interface NormalizerMessage {
  readonly precompiledCharsmap: Uint8Array;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
}

function buildTypes(): protobuf.Root {
  const root = new protobuf.Root();
  for (const [name, fields] of Object.entries(messages)) {
    const type = new protobuf.Type(name);
    for (const [field, fieldType, id, standard] of fields) {
      const options = standard === undefined ? {} : { default: standard };
      type.add(new protobuf.Field(field, id, fieldType, undefined, undefined, options));
    }
    root.add(type);
  }
  root.resolveAll();
  return root;
}

const types = buildTypes();

/** Of a message in these bytes; fields that it lacks have their defaults. Throws whatever protobufjs throws. */
export function decodePiece(bytes: Uint8Array): PieceMessage {
  const { piece, score, type } = decode<PieceMessage>("SentencePiece", bytes);
  return { piece: bytesOf(piece), score, type };
}

export function decodeTrainer(bytes: Uint8Array): TrainerMessage {
  return decode<TrainerMessage>("TrainerSpec", bytes);
}

export function decodeNormalizer(bytes: Uint8Array): NormalizerMessage {
  const message = decode<NormalizerMessage>("NormalizerSpec", bytes);
  const { addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces } = message;
  const precompiledCharsmap = bytesOf(message.precompiledCharsmap);
  return { precompiledCharsmap, addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces };
}

function decode<Message>(name: string, bytes: Uint8Array): Message {
  return types.lookupType(name).decode(bytes) as unknown as Message;
}

/** protobufjs gives a list of numbers where a field is not there. */
function bytesOf(value: ArrayLike<number>): Uint8Array {
  return value instanceof Uint8Array ? value : Uint8Array.from(value);
}

/** The fields of a message that hold bytes, in order; others are passed over. */
export function* bytesFields(message: Uint8Array): Generator<readonly [id: number, Uint8Array]> {
  const reader = protobuf.Reader.create(message);
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if ((tag & 7) === 2) yield [tag >>> 3, reader.bytes()];
    else reader.skipType(tag & 7);
  }
}
