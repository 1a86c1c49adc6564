/** Reads a SentencePiece model (`source.spm`): its pieces and what its normaliser does. Bounded, and every claim checked. */
import { readFile, stat } from "node:fs/promises";
import { MillraceError } from "millrace-client/wire";
import { isMissing } from "../../models/read-json.js";
import { Charsmap } from "../../prepare/text/charsmap.js";
import { messageOf } from "../../work/thrown.js";
import {
  bytesFields,
  decodeNormalizer,
  decodePiece,
  decodeTrainer,
  modelFields,
  modelTypes,
  type NormalizerMessage,
  type PieceMessage,
  pieceType,
  type TrainerMessage,
} from "./sentencepiece-schema.js";

export interface SentencePieceFile {
  /** In the order of the file. */
  readonly pieces: readonly SentencePieceEntry[];
  /** As it is; null where there is none. It was checked. */
  readonly charsmap: Uint8Array | null;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
}

export interface SentencePieceEntry {
  readonly piece: string;
  readonly score: number;
  readonly type: keyof typeof pieceType;
}

/** The largest that is published has 250,000 pieces in 5 MB. */
const modelBytesMax = 32 * 1024 * 1024;
const piecesMax = 1_000_000;
const pieceBytesMax = 1024;

/**
 * Throws `model_folder_invalid` where the file is missing, damaged or hostile, `model_unsupported` where it is a good model
 * of another kind than unigram.
 */
export async function readSentencePieceFile(path: string): Promise<SentencePieceFile> {
  const bytes = await readBytes(path);
  try {
    return parseModel(bytes);
  } catch (cause) {
    if (cause instanceof MillraceError) {
      throw new MillraceError(cause.code, `${path}: ${cause.message}`, { cause });
    }
    // protobufjs throws whatever it stumbles over.
    const message = messageOf(cause);
    throw invalid(`${path} is no SentencePiece model: ${message}`, cause);
  }
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    const stats = await stat(path);
    if (!stats.isFile()) throw invalid(`${path} is not a file`);
    if (stats.size > modelBytesMax) {
      throw invalid(`${path} has ${stats.size} bytes; the limit is ${modelBytesMax}`);
    }
    return await readFile(path);
  } catch (cause) {
    if (cause instanceof MillraceError) throw cause;
    throw invalid(`${path} ${isMissing(cause) ? "is missing" : "cannot be read"}`, cause);
  }
}

function parseModel(bytes: Uint8Array): SentencePieceFile {
  const pieces = new PieceList();
  // A field that comes twice: the last one counts, as in every reader of protobuf.
  let trainer: TrainerMessage = decodeTrainer(new Uint8Array());
  let normalizer: NormalizerMessage | null = null;
  for (const [field, value] of bytesFields(bytes)) {
    if (field === modelFields.pieces) pieces.add(decodePiece(value));
    else if (field === modelFields.trainer) trainer = decodeTrainer(value);
    else if (field === modelFields.normalizer) normalizer = decodeNormalizer(value);
    else if (field === modelFields.denormalizer) checkDenormalizer(decodeNormalizer(value));
  }
  if (normalizer === null) {
    throw invalid(`it is no SentencePiece model: it has ${pieces.entries.length} pieces only`);
  }
  checkTrainer(trainer);
  pieces.check();
  const { precompiledCharsmap, addDummyPrefix, removeExtraWhitespaces, escapeWhitespaces } =
    normalizer;
  const charsmap = precompiledCharsmap.byteLength === 0 ? null : precompiledCharsmap;
  if (charsmap !== null) new Charsmap(charsmap).check();
  return {
    pieces: pieces.entries,
    charsmap,
    addDummyPrefix,
    removeExtraWhitespaces,
    escapeWhitespaces,
  };
}

function checkTrainer({ modelType, treatWhitespaceAsSuffix, byteFallback }: TrainerMessage): void {
  const type = modelTypes[modelType] ?? `of type ${modelType}`;
  if (type !== "unigram") throw unsupported(`a SentencePiece model that is ${type}, not unigram`);
  if (treatWhitespaceAsSuffix) throw unsupported("treat_whitespace_as_suffix");
  if (byteFallback) throw unsupported("byte_fallback");
}

function checkDenormalizer({ precompiledCharsmap }: NormalizerMessage): void {
  if (precompiledCharsmap.byteLength > 0) throw unsupported("a denormalizer");
}

/** Each is looked at as it comes, so that a file of nonsense does not become a list first. */
class PieceList {
  readonly entries: SentencePieceEntry[] = [];
  readonly #seen = new Set<string>();
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  add({ piece: bytes, score, type: number }: PieceMessage): void {
    const index = this.entries.length;
    if (index === piecesMax) throw invalid(`it has over ${piecesMax} pieces`);
    if (bytes.byteLength > pieceBytesMax) {
      throw invalid(`piece ${index} has ${bytes.byteLength} bytes; the limit is ${pieceBytesMax}`);
    }
    const piece = this.#decoder.decode(bytes);
    const label = `the piece ${JSON.stringify(piece)}`;
    if (piece === "") throw invalid(`piece ${index} is empty`);
    if (this.#seen.has(piece)) throw invalid(`${label} comes twice`);
    this.#seen.add(piece);
    const type = pieceTypeOf(number);
    if (type === null) throw invalid(`${label} has type ${number}`);
    if (type === "byte") throw unsupported("pieces for bytes");
    if (!Number.isFinite(score)) throw invalid(`${label} has the score ${score}`);
    this.entries.push({ piece, score, type });
  }

  check(): void {
    const unknown = this.entries.filter(({ type }) => type === "unknown").length;
    if (unknown !== 1) throw invalid(`${unknown} pieces are the unknown one; a model has one`);
    if (this.entries.some(({ type }) => type === "normal")) return;
    throw invalid("none of its pieces is a normal one");
  }
}

function pieceTypeOf(number: number): keyof typeof pieceType | null {
  for (const name of ["normal", "unknown", "control", "userDefined", "unused", "byte"] as const) {
    if (pieceType[name] === number) return name;
  }
  return null;
}

function unsupported(what: string): MillraceError {
  return new MillraceError("model_unsupported", `it has ${what}, which Millrace lacks`);
}

function invalid(message: string, cause?: unknown): MillraceError {
  return new MillraceError("model_folder_invalid", message, { cause });
}
