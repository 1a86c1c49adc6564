/** What tensors cost the program `tensors`: the same on the server's side and in the pipeline. */
import type { Cost } from "../../work/cost.js";
import { bytesOf, type NamedTensor } from "../../work/tensors.js";
import type { TensorsManifest } from "./manifest-tensors.js";

/** A unit of cost is a kilobyte of a row: learned costs are kept by powers of two, and those are of the sizes of texts. */
const unitBytes = 1_024;
/** What an item holds beside its tensors, measured generously. */
const itemBytes = 512;

/** Of all inputs of the model, in its order. Rows of a free axis are counted; what has none is one row. */
export function tensorsCost(manifest: TensorsManifest, list: readonly NamedTensor[]): Cost {
  const rows = manifest.batch === "free" ? Math.max(1, list[0]?.shape[0] ?? 1) : 1;
  const bytes = list.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  const units = rows * Math.max(1, Math.ceil(bytes / rows / unitBytes));
  return { units, width: 1, rows, bytes: itemBytes + bytes, batchKey: keyOf(manifest, list) };
}

/** Only tensors of equal shapes share a run, the free axis left out: what the model fixes is the same for all. */
function keyOf({ batch, inputs }: TensorsManifest, list: readonly NamedTensor[]): string {
  const skip = batch === "free" ? 1 : 0;
  const open = list.map(({ shape }, place) => {
    const axes = inputs[place]?.shape;
    return shape.filter((_, at) => at >= skip && typeof axes?.[at] !== "number").join();
  });
  return open.every((sizes) => sizes === "") ? "" : open.join(";");
}
