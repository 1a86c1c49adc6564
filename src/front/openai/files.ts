/**
 * `/v1/files`: what batches read and what they write. An upload goes to the disk as it comes, whatever the order of its form's
 * parts; a file that is fetched comes from there at its reader's pace.
 */
import { MillraceError } from "millrace-client/wire";
import type { Jobs, UploadTerms } from "../../jobs/jobs.js";
import type { StoredFile } from "../../jobs/store.js";
import type { Exchange, Route, RouteDoc } from "../../listen/http/http-front.js";
import { countSchema, objectSchema, textSchema, titled } from "../../work/json-schema.js";
import type { JsonObject } from "../../work/payload.js";
import type { FrontParts } from "../front.js";
import { mediaTypeOf } from "../media-type.js";
import { type ArrivingFile, streamMultipart } from "../multipart.js";
import { type Listed, pageJson, pageQuery, pageSchema, readPage } from "./page.js";

/** What their clients may say; only files of the first are read here. */
const purposes = ["batch", "assistants", "fine-tune", "vision", "user_data", "evals"];
/** Fields and heads of the form beside the file. */
const formBytesMax = 64 * 1024;
const nameCharactersMax = 256;
/** Of a list, whatever was asked: `has_more` says that there are others. */
const pageMax = 1_000;
const expiresSeconds = { min: 3_600, max: 2_592_000 };

const fileSchema: JsonObject = titled(
  "OpenAIFile",
  objectSchema({
    id: textSchema,
    object: { const: "file" },
    bytes: countSchema,
    created_at: countSchema,
    expires_at: { type: ["integer", "null"] },
    filename: textSchema,
    purpose: textSchema,
    status: { const: "processed" },
    status_details: { type: "null" },
  }),
);

const uploadDoc: RouteDoc = {
  summary: "Keeps a file of requests for a batch, as OpenAI's clients send it",
  request: {
    "multipart/form-data": {
      type: "object",
      required: ["file", "purpose"],
      properties: {
        file: { type: "string", format: "binary", description: "JSON Lines in UTF-8." },
        purpose: { enum: purposes },
        "expires_after[anchor]": { const: "created_at" },
        "expires_after[seconds]": { type: "integer" },
      },
    },
  },
  reply: { "application/json": fileSchema },
};
const one: RouteDoc = { summary: "A file that is kept", reply: { "application/json": fileSchema } };
const contentDoc: RouteDoc = {
  summary: "The bytes of a file, as they came or as a batch wrote them",
  reply: { "application/octet-stream": { type: "string", format: "binary" } },
};
const list: RouteDoc = {
  summary: "The files that are kept",
  query: {
    ...pageQuery,
    purpose: { schema: textSchema, description: "Only those that are for it." },
  },
  reply: { "application/json": pageSchema(fileSchema) },
};
const deletion: RouteDoc = {
  summary: "Deletes a file",
  reply: {
    "application/json": objectSchema({
      id: textSchema,
      object: { const: "file" },
      deleted: { const: true },
    }),
  },
};

export function fileRoutes(parts: FrontParts): readonly Route[] {
  const path = "/v1/files/{file_id}";
  const route = (
    method: Route["method"],
    { at = path, doc }: { readonly at?: string; readonly doc: RouteDoc },
    handler: (exchange: Exchange, jobs: Jobs) => Promise<void>,
  ): Route => ({
    path: at,
    method,
    doc,
    handler: (exchange) => handler(exchange, jobsOf(parts)),
  });
  return [
    route("POST", { at: "/v1/files", doc: uploadDoc }, (exchange, jobs) =>
      upload(exchange, jobs, parts.options),
    ),
    route("GET", { at: "/v1/files", doc: list }, listFiles),
    route("GET", { doc: one }, async (exchange, jobs) =>
      replyJson(exchange, fileObject(await fileOf(exchange, jobs))),
    ),
    route("DELETE", { doc: deletion }, async (exchange, jobs) => {
      const { file_id: id = "" } = exchange.params;
      await named(id, jobs.deleteFile(exchange.caller, id));
      replyJson(exchange, { id, object: "file", deleted: true });
    }),
    route("GET", { at: `${path}/content`, doc: contentDoc }, sendContent),
  ];
}

/** @throws MillraceError `jobs_off` */
export function jobsOf({ jobs }: Pick<FrontParts, "jobs">): Jobs {
  if (jobs !== undefined) return jobs;
  const message =
    "This server keeps no files and runs no batches: it was started with neither --data nor --nats.";
  throw new MillraceError("jobs_off", message);
}

export function replyJson(exchange: Exchange, value: object | string): void {
  const body = typeof value === "string" ? value : JSON.stringify(value);
  exchange.reply({ status: 200, contentType: "application/json", body });
}

/** A file that is not there is told in their words. */
export async function named<T>(id: string, work: Promise<T>, param = "id"): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (!(cause instanceof MillraceError) || cause.code !== "file_not_found") throw cause;
    const message = `No such File object: ${id.slice(0, 128)}`;
    throw new MillraceError("file_not_found", message, { cause, param });
  }
}

export function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}

function fileObject(file: StoredFile): Listed {
  const { id, bytes, name, purpose, createdAtMs, expiresAtMs } = file;
  return {
    id,
    object: "file",
    bytes,
    created_at: seconds(createdAtMs),
    expires_at: expiresAtMs === null ? null : seconds(expiresAtMs),
    filename: name,
    purpose,
    status: "processed",
    status_details: null,
  };
}

async function fileOf({ caller, params }: Exchange, jobs: Jobs): Promise<StoredFile> {
  const { file_id: id = "" } = params;
  return await named(id, jobs.file(caller, id));
}

async function upload(
  exchange: Exchange,
  jobs: Jobs,
  { jobFileBytesMax }: FrontParts["options"],
): Promise<void> {
  const { caller, headers } = exchange;
  if (mediaTypeOf(exchange) !== "multipart/form-data") {
    const message = "A file is sent as multipart/form-data, with `purpose` and `file`.";
    throw new MillraceError("unsupported_media_type", message, { param: "content-type" });
  }
  const body = await exchange.receiveStream(jobFileBytesMax + formBytesMax);
  const keep = (file: ArrivingFile, texts: ReadonlyMap<string, string>): Promise<StoredFile> => {
    if (file.field !== "file") throw missing("file");
    const early = termsIn(texts);
    return jobs.upload(
      caller,
      { name: nameOf(file), purpose: "batch", ...early, late: () => wholeTerms(texts) },
      file.content,
    );
  };
  const { texts, kept } = await streamMultipart(
    body,
    headers["content-type"] ?? "",
    async (...file) => keep(...file),
  );
  if (kept === null) throw missing(texts.has("file") ? "file (a part with a filename)" : "file");
  replyJson(exchange, fileObject(kept));
}

function nameOf({ name }: ArrivingFile): string {
  return name === "" ? "file.jsonl" : Array.from(name).slice(-nameCharactersMax).join("");
}

/** When the form has ended. @throws MillraceError `bad_request` */
function wholeTerms(texts: ReadonlyMap<string, string>): UploadTerms {
  const { purpose, ...terms } = termsIn(texts);
  if (purpose === undefined) throw missing("purpose");
  return { purpose, ...terms };
}

/** As far as it is said. @throws MillraceError `bad_request` */
function termsIn(texts: ReadonlyMap<string, string>): Partial<UploadTerms> {
  for (const param of texts.keys()) {
    if (!["purpose", "expires_after[anchor]", "expires_after[seconds]"].includes(param)) {
      throw badParam(param.slice(0, 64), `Unknown parameter: '${param.slice(0, 64)}'.`);
    }
  }
  const purpose = texts.get("purpose");
  if (purpose !== undefined && !purposes.includes(purpose)) {
    const known = purposes.map((each) => `'${each}'`).join(", ");
    const message = `'${purpose.slice(0, 64)}' is not one of [${known}] - 'purpose'`;
    throw badParam("purpose", message);
  }
  const anchor = texts.get("expires_after[anchor]");
  if (anchor !== undefined && anchor !== "created_at") {
    throw badParam("expires_after[anchor]", "Invalid 'anchor': only 'created_at' is supported.");
  }
  const after = texts.get("expires_after[seconds]");
  return {
    ...(purpose === undefined ? {} : { purpose }),
    ...(after === undefined ? {} : { keptMs: keptMsOf(after, "expires_after[seconds]") }),
  };
}

/** @throws MillraceError `bad_request` */
export function keptMsOf(said: string | number, param: string): number {
  const { min, max } = expiresSeconds;
  const value = /^\d{1,9}$/.test(String(said)) ? Number(said) : Number.NaN;
  if (value >= min && value <= max) return value * 1_000;
  throw badParam(param, `Invalid '${param}': expected a whole number from ${min} to ${max}.`);
}

function missing(param: string): MillraceError {
  return badParam(param, `Missing required parameter: '${param}'.`);
}

export function badParam(param: string, message: string): MillraceError {
  return new MillraceError("bad_request", message, { param });
}

async function listFiles(exchange: Exchange, jobs: Jobs): Promise<void> {
  const page = readPage(exchange, { usual: pageMax, most: pageMax });
  const purpose = exchange.query.get("purpose");
  const files = await jobs.files(exchange.caller, {
    ...page,
    limit: page.limit + 1,
    ...(purpose === null ? {} : { purpose }),
  });
  replyJson(exchange, pageJson(files.map(fileObject), page));
}

async function sendContent(exchange: Exchange, jobs: Jobs): Promise<void> {
  const file = await fileOf(exchange, jobs);
  const content = await named(file.id, jobs.content(exchange.caller, file.id));
  const stream = exchange.stream({
    status: 200,
    contentType: "application/octet-stream",
    headers: { "content-length": String(file.bytes) },
  });
  let bytes = 0;
  for await (const piece of content) {
    if (exchange.departed.aborted) return;
    bytes += piece.length;
    if (bytes > file.bytes) break;
    stream.write(piece);
    await stream.ready();
  }
  // Its head is out: only a connection that breaks says that the bytes are not those that it promised.
  if (bytes !== file.bytes)
    throw new Error(`file ${file.id} has ${bytes} bytes, not ${file.bytes}`);
  await stream.end();
}
