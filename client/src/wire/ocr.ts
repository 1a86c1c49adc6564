/**
 * The messages of `POST /v1/ocr`. An input is a picture: an `image/*` body, a file part of a `multipart/form-data` body, or
 * base64 in JSON.
 */
import type { ItemError, ReplyLine, ReplySummary, RequestFields } from "./api.js";

export interface OcrRequest extends RequestFields {
  /** The bytes of each picture file, in base64: JPEG, PNG, WebP, GIF (its first frame) or TIFF (its first page). */
  readonly images: string | readonly string[];
}

/** x and y in pixels of the picture as it is looked at: turned as its EXIF says. */
export type OcrPoint = readonly [x: number, y: number];

/** The corners of a line of text, clockwise from where its first character begins on top. */
export type OcrBox = readonly [OcrPoint, OcrPoint, OcrPoint, OcrPoint];

export interface OcrTextLine {
  readonly text: string;
  /** The mean probability of its characters. */
  readonly score: number;
  readonly box: OcrBox;
}

/** A line that was found and could not be read; the others of its picture are not affected. */
export interface OcrFailedLine extends ItemError {
  readonly box: OcrBox;
}

export interface OcrResult {
  /** Of the turned picture. */
  readonly width: number;
  readonly height: number;
  /** In reading order: from top to bottom, in a row from left to right. */
  readonly lines: readonly OcrTextLine[];
  /** Only where there are any. */
  readonly failedLines?: readonly OcrFailedLine[];
}

/** What one picture comes to. */
export type OcrOutcome = OcrResult | ItemError;

export interface OcrResponse extends ReplySummary {
  /** In the order of the request. */
  readonly results: readonly OcrOutcome[];
}

/** The picture's place in the request, in `application/x-ndjson`. */
export type OcrReplyLine = ReplyLine<OcrOutcome>;
