/** A request whose body is a file, or a form with files → the same fields as its JSON would have. */
import { apiLimits, MillraceError } from "millrace-client/wire";
import type { Exchange } from "../../listen/http/http-front.js";
import { badField } from "../../work/fields.js";
import type { FrontTask } from "../front.js";
import { readMultipart } from "../multipart.js";

type Fields = Readonly<Record<string, unknown>>;

/** A body that is one file; what else there is to say stands in the query. */
export function fileFields(
  bytes: Uint8Array,
  { files }: Pick<FrontTask, "files">,
  { query }: Pick<Exchange, "query">,
): Fields {
  if (files === undefined) throw new Error("a file for a task without files");
  return { ...textFields(query, files.field), [files.field]: [bytes] };
}

/** Each file part is an input, whatever the part is called; each text part a field. */
export async function formFields(
  body: Uint8Array,
  { files }: Pick<FrontTask, "files">,
  from: { readonly contentType: string; readonly filesMax: number },
): Promise<Fields> {
  if (files === undefined) throw new Error("a form with files for a task without files");
  const form = await readMultipart(body, from);
  return {
    ...textFields(form.texts, files.field),
    [files.field]: form.files.map(({ bytes }) => bytes),
  };
}

/** Fields that are text whatever they look like: a tenant may be called 123. */
const textNames: readonly string[] = ["model", "class", "tenant"];
const namesMax = 64;

function textFields(
  entries: Iterable<readonly [name: string, value: string]>,
  filesField: string,
): Fields {
  const fields: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  let count = 0;
  for (const [name, value] of entries) {
    count += 1;
    if (count > namesMax) {
      throw new MillraceError("bad_request", `There are more than ${namesMax} fields.`);
    }
    const param = name.slice(0, apiLimits.tenantCharactersMax);
    if (name === filesField) throw badField(param, "its files are parts with a filename");
    if (Object.hasOwn(fields, name)) throw badField(param, "is there twice");
    fields[name] = textNames.includes(name) ? value : valueOf(value);
  }
  return { ...fields };
}

/** A query knows no types: what JSON would read as a number, as true or as false, is one. */
function valueOf(text: string): unknown {
  if (text === "true" || text === "false") return text === "true";
  return /^-?\d{1,15}(?:\.\d{1,15})?$/.test(text) ? Number(text) : text;
}
