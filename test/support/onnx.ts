/** Reads what the converter wrote. */
import { type ModelMessage, modelType } from "#src/convert/onnx/schema.js";

/** Throws a plain Error where the bytes are not protobuf. Fields that Millrace does not know are skipped. */
export function decodeModel(bytes: Uint8Array): ModelMessage {
  const message = modelType.toObject(modelType.decode(bytes), {
    longs: Number,
    arrays: true,
    defaults: true,
  });
  return message as ModelMessage;
}
