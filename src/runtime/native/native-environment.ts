/** What all sessions and tensors of a process share, made with the first of them. */
import { check, type Handle, type Out, ortApi, outOf, type Status, textAt } from "./ort-api.js";

/** Of `onnxruntime_c_api.h`: ORT_LOGGING_LEVEL_FATAL. What fails is thrown, and answered; printed as well, bad inputs would flood the log. */
export const fatalOnly = 4;
/** OrtArenaAllocator, and OrtMemTypeDefault. */
const arenaAllocator = 1;
const defaultMemory = 0;

interface Environment {
  readonly env: Handle;
  readonly memory: Handle;
  readonly allocator: Handle;
}

let opened: Environment | undefined;

export function environment(): Environment {
  if (opened !== undefined) return opened;
  const api = ortApi();
  opened = {
    env: outOf((out: Out<Handle>) => api.CreateEnv(fatalOnly, "millrace", out)),
    memory: outOf((out: Out<Handle>) =>
      api.CreateCpuMemoryInfo(arenaAllocator, defaultMemory, out),
    ),
    allocator: outOf((out: Out<Handle>) => api.GetAllocatorWithDefaultOptions(out)),
  };
  return opened;
}

/** A text that the runtime allocates, which is given back. */
export function takeText(call: (allocator: Handle, out: Out<Handle>) => Status): string {
  const { allocator } = environment();
  const address = outOf((out: Out<Handle>) => call(allocator, out));
  const text = textAt(address);
  check(ortApi().AllocatorFree(allocator, address));
  return text;
}
