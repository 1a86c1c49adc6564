/** The result → JSON; outputs that are wanted so lie behind it as bytes, in their order. */
import type { Reply } from "../../listen/http/http-front.js";
import type { Payload } from "../../work/payload.js";
import { tensorDataText } from "../../work/tensor-json.js";
import { type NamedTensor, tensorsOf } from "../../work/tensors.js";
import { headLengthHeader, type InferBody } from "./infer-body.js";
import { rawBytes } from "./raw-tensors.js";

export interface Answered {
  readonly model: string;
  readonly version: string;
  readonly read: InferBody;
}

export function inferReply(value: Payload, { model, version, read }: Answered): Reply {
  const raw: Buffer[] = [];
  const outputs = tensorsOf(value).map((tensor, place) => {
    if (!(read.outputs?.[place]?.binary ?? read.binaryOutputs)) {
      return `${headOf(tensor)},"data":${tensorDataText(tensor)}}`;
    }
    const bytes = rawBytes(tensor);
    raw.push(bytes);
    return `${headOf(tensor)},"parameters":{"binary_data_size":${bytes.length}}}`;
  });
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
