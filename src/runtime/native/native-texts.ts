/** Texts as the runtime has them: in memory of its own, so they are copied both ways. */
import { onnxElementTypes } from "../../models/onnx/element-types.js";
import type { TensorValue } from "../../work/tensors.js";
import { environment } from "./native-environment.js";
import { addressOf, check, type Handle, type Out, ortApi, outOf, viewAt } from "./ort-api.js";

export class NativeTexts {
  readonly handle: Handle;

  /** `dims`: its shape, as the runtime reads it. Throws where there are not as many texts as that says. */
  constructor({ shape, data, lengths = new Int32Array() }: TensorValue, dims: Int32Array) {
    const api = ortApi();
    this.handle = outOf((out: Out<Handle>) =>
      api.CreateTensorAsOrtValue(
        environment().allocator,
        dims,
        shape.length,
        onnxElementTypes.BYTES,
        out,
      ),
    );
    try {
      fill(this.handle, data as Uint8Array, lengths);
    } catch (error) {
      this.release();
      throw error;
    }
  }

  release(): void {
    ortApi().ReleaseValue(this.handle);
  }
}

function fill(handle: Handle, data: Uint8Array, lengths: Int32Array): void {
  const api = ortApi();
  // Each with an end: of many texts there is one call.
  const ended = new Uint8Array(new ArrayBuffer(data.length + lengths.length));
  const firstAddress = addressOf(ended);
  const addresses = new BigUint64Array(lengths.length);
  let from = 0;
  for (let at = 0; at < lengths.length; at += 1) {
    const until = from + (lengths[at] ?? 0);
    addresses[at] = firstAddress + BigInt(from + at);
    for (let byte = from; byte < until; byte += 1) ended[byte + at] = data[byte] ?? 0;
    from = until;
  }
  check(api.FillStringTensor(handle, addresses, lengths.length));
  if (data.includes(0)) fillWhole(handle, data, lengths);
}

/** Those that have an end inside, which the call for all of them cuts there. */
function fillWhole(handle: Handle, data: Uint8Array, lengths: Int32Array): void {
  let from = 0;
  for (let at = 0; at < lengths.length; at += 1) {
    const text = data.subarray(from, from + (lengths[at] ?? 0));
    from += text.length;
    if (!text.includes(0)) continue;
    const address = outOf((out: Out<Handle>) =>
      ortApi().GetResizedStringTensorElementBuffer(handle, at, text.length, out),
    );
    viewAt(address, text.length).set(text);
  }
}

/** Of a tensor of so many texts: their bytes one after the other, and the bytes of each. */
export function copyTexts(
  value: Handle,
  count: number,
): { readonly data: Uint8Array; readonly lengths: Int32Array } {
  const api = ortApi();
  const length = Number(outOf((out: Out<number>) => api.GetStringTensorDataLength(value, out)));
  const data = new Uint8Array(length);
  const offsets = new BigUint64Array(count);
  check(api.GetStringTensorContent(value, data, length, offsets, count));
  const lengths = new Int32Array(count);
  for (let at = 0; at < count; at += 1) {
    const until = at + 1 < count ? Number(offsets[at + 1]) : length;
    lengths[at] = until - Number(offsets[at]);
  }
  return { data, lengths };
}
