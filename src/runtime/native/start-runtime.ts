/**
 * Has ONNX Runtime make what all sessions of a process share (some megabytes of operators and their schemas), before it
 * is known which model comes: its first session would pay for it.
 */
import { Binding } from "./binding.js";
import { NativeSession } from "./native-session.js";

/** One node, `Identity`, from x to y, a float each. */
const smallestGraph =
  "CAgSCG1pbGxyYWNlGgA6PAoVCgF4EgF5GgF5IghJZGVudGl0eToAEgF3Wg8KAXgSCgoICAESBAoCCAFiDwoBeRIKCggIARIECgIIAUIECgAQEUIRCg1jb20ubWljcm9zb2Z0EAE=";

export async function startRuntime(): Promise<void> {
  const graph = Buffer.from(smallestGraph, "base64");
  const session = NativeSession.of(graph, { threads: 1, spin: false });
  try {
    const run = new Binding(session, { y: "float32" });
    run.feed("x", new Float32Array(1), [1]);
    run.fetch("y", new Float32Array(1), [1]);
    await run.run();
    run.clear();
  } finally {
    session.release();
  }
}
