/** A session of the runtime, as the settings want it. */
import {
  plainSettings,
  type SessionOptions,
  type SessionSettings,
  sessionSettings,
} from "../session-settings.js";
import { environment, fatalOnly } from "./native-environment.js";
import {
  addressOf,
  check,
  type Handle,
  type Out,
  ortApi,
  outOf,
  type Status,
  textBytes,
} from "./ort-api.js";

/** ORT_DISABLE_ALL and ORT_ENABLE_ALL of `onnxruntime_c_api.h`. */
const ortDisableAll = 0;
const ortEnableAll = 99;

/** `readBytes` were read for it, and are garbage once this has returned. Throws what ONNX Runtime says. */
export async function createSession(
  path: string,
  asked: SessionOptions,
): Promise<{ readonly session: Handle; readonly readBytes: number }> {
  return make(await sessionSettings(path, asked), (options, out) =>
    ortApi().CreateSession(environment().env, path, options, out),
  );
}

/** Of a graph in memory that refers to no files. Throws what ONNX Runtime says. */
export function createSessionOf(graph: Uint8Array, asked: SessionOptions): Handle {
  const settings = { ...plainSettings(asked), externalData: [] };
  const { session } = make(settings, (options, out) =>
    ortApi().CreateSessionFromArray(environment().env, graph, graph.length, options, out),
  );
  return session;
}

function make(
  settings: SessionSettings,
  create: (options: Handle, out: Out<Handle>) => Status,
): { readonly session: Handle; readonly readBytes: number } {
  const api = ortApi();
  const options = outOf((out: Out<Handle>) => api.CreateSessionOptions(out));
  try {
    applySettings(options, settings);
    const files = addFiles(options, settings);
    const session = outOf((out: Out<Handle>) => create(options, out));
    return { session, readBytes: bytesOf(files) };
  } finally {
    api.ReleaseSessionOptions(options);
  }
}

function applySettings(options: Handle, settings: SessionSettings): void {
  const api = ortApi();
  const { threads, optimize, profilePrefix, optimizedPath, config } = settings;
  if (profilePrefix !== null) check(api.EnableProfiling(options, profilePrefix));
  if (optimizedPath !== null) check(api.SetOptimizedModelFilePath(options, optimizedPath));
  check(api.SetIntraOpNumThreads(options, threads));
  check(api.SetInterOpNumThreads(options, 1));
  check(api.SetSessionGraphOptimizationLevel(options, optimize ? ortEnableAll : ortDisableAll));
  check(api.DisableMemPattern(options));
  check(api.SetSessionLogSeverityLevel(options, fatalOnly));
  for (const [key, value] of Object.entries(config)) {
    check(api.AddSessionConfigEntry(options, key, value));
  }
}

/** What the options point at: it must live until the session is made. */
interface AddedFiles {
  readonly names: readonly Uint8Array[];
  readonly contents: readonly Uint8Array[];
}

function addFiles(options: Handle, { externalData }: SessionSettings): AddedFiles {
  const names = externalData.map(({ path }) => textBytes(path));
  const contents = externalData.map(({ data }) => data);
  const lengths = BigUint64Array.from(contents, ({ byteLength }) => BigInt(byteLength));
  if (contents.length > 0) {
    check(
      ortApi().AddExternalInitializersFromFilesInMemory(
        options,
        BigUint64Array.from(names, addressOf),
        BigUint64Array.from(contents, addressOf),
        lengths,
        contents.length,
      ),
    );
  }
  return { names, contents };
}

function bytesOf({ contents }: AddedFiles): number {
  return contents.reduce((sum, { byteLength }) => sum + byteLength, 0);
}
