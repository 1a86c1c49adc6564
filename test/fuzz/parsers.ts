/** The one table of parsers that strangers feed: a new one is a file in parsers/ and a line here. */
import type { FuzzParser } from "./parser.js";
import { compressedParser } from "./parsers/compressed-bodies.js";
import { multipartParser, queryParser, streamedFormParser } from "./parsers/forms.js";
import { frameParsers } from "./parsers/frames.js";
import { grpcParser } from "./parsers/grpc-messages.js";
import { httpFrontParsers } from "./parsers/http-fronts.js";
import { inferV2Parser } from "./parsers/infer-v2.js";
import { keyFileParser } from "./parsers/key-files.js";
import { modelFileParsers } from "./parsers/model-files.js";
import { ndjsonParser } from "./parsers/ndjson.js";
import { pictureParser } from "./parsers/pictures.js";
import { requestLineParser } from "./parsers/request-lines.js";
import { requestParsers } from "./parsers/requests.js";
import { streamParser } from "./parsers/stream-messages.js";
import { webSocketFrameParser } from "./parsers/websocket-frames.js";
import { bertParser, ectransParser } from "./parsers/zmq-messages.js";

export const parsers: readonly FuzzParser[] = [
  ...frameParsers,
  ...requestParsers,
  inferV2Parser,
  ...httpFrontParsers,
  grpcParser,
  streamParser,
  webSocketFrameParser,
  bertParser,
  ectransParser,
  multipartParser,
  streamedFormParser,
  requestLineParser,
  queryParser,
  compressedParser,
  keyFileParser,
  ndjsonParser,
  pictureParser,
  ...modelFileParsers,
];
