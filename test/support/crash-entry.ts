/**
 * The real worker, in which ONNX Runtime ends the process while it makes the session of a graph in a folder named `crash`, as with
 * a graph that it cannot bear.
 */
import "#src/runtime/no-telemetry.js";
import { InferenceSession } from "onnxruntime-node";

const create = InferenceSession.create.bind(InferenceSession) as (
  graph: unknown,
  options: unknown,
) => Promise<InferenceSession>;
Object.assign(InferenceSession, {
  create: (graph: unknown, options: unknown): Promise<InferenceSession> => {
    if (typeof graph === "string" && graph.includes("/crash/")) process.abort();
    return create(graph, options);
  },
});
await import("#src/runtime/entry.js");
