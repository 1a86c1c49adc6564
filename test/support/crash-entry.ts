/**
 * The real worker, in which ONNX Runtime ends the process while it makes the session of a graph in a folder named `crash`, as with
 * a graph that it cannot bear. The worker is built in one file: what it has of its own cannot be changed from here, but its packages.
 */
import koffi from "koffi";

type Call = (...values: readonly unknown[]) => unknown;

const decode = koffi.decode.bind(koffi) as Call;
Object.assign(koffi, {
  decode: (...asked: readonly unknown[]): unknown => {
    const decoded = decode(...asked);
    if (typeof decoded !== "function") return decoded;
    return (...values: readonly unknown[]): unknown => {
      // Of all functions, only the one that opens a file is given such a path.
      if (values.some((value) => typeof value === "string" && value.includes("/crash/")))
        process.abort();
      return (decoded as Call)(...values);
    };
  },
});
await import("#src/runtime/entry.js");
