/** The result → JSON; outputs that are wanted so lie behind it as bytes, in their order. */
import { setImmediate } from "node:timers/promises";
import type { Reply } from "../../listen/http/http-front.js";
import { tensorDataParts } from "../../work/tensor-json.js";
import type { NamedTensor } from "../../work/tensors.js";
import { headLengthHeader } from "./infer-body.js";
import type { InferBody } from "./infer-request.js";
import { rawBytes } from "./raw-tensors.js";

export interface Answered {
  readonly model: string;
  readonly version: string;
  readonly read: InferBody;
}

/** Elements of one output as JSON: some forty megabytes of text. */
const jsonElementsMax = 2 * 1024 * 1024;

/** @throws MillraceError `tensor_invalid` where an output is too large for JSON */
export async function inferReply(
  tensors: readonly NamedTensor[],
  { model, version, read }: Answered,
): Promise<Reply> {
  const raw: Buffer[] = [];
  const outputs: string[] = [];
  for (const [place, tensor] of tensors.entries()) {
    if (read.outputs?.[place]?.binary ?? read.binaryOutputs) {
      const bytes = rawBytes(tensor);
      raw.push(bytes);
      outputs.push(`${headOf(tensor)},"parameters":{"binary_data_size":${bytes.length}}}`);
    } else {
      outputs.push(`${headOf(tensor)},"data":${await dataText(tensor)}}`);
    }
  }
  const { id } = read;
  const head = { model_name: model, model_version: version, ...(id === undefined ? {} : { id }) };
  const text = `${JSON.stringify(head).slice(0, -1)},"outputs":[${outputs.join(",")}]}`;
  if (raw.length === 0) return { status: 200, contentType: "application/json", body: text };
  const headBytes = Buffer.from(text);
  return {
    status: 200,
    contentType: "application/octet-stream",
    body: Buffer.concat([headBytes, ...raw]),
    headers: { [headLengthHeader]: String(headBytes.length) },
  };
}

/** Not closed: its data follow. */
function headOf({ name, datatype, shape }: NamedTensor): string {
  return JSON.stringify({ name, datatype, shape }).slice(0, -1);
}

/** Others have a turn between two parts. */
async function dataText(tensor: NamedTensor): Promise<string> {
  const parts: string[] = [];
  for (const part of tensorDataParts(tensor, jsonElementsMax)) {
    // Brackets, and what is as short, are not waited for.
    if (parts.length > 2) await setImmediate();
    parts.push(part);
  }
  return parts.join("");
}
