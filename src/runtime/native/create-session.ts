/** A session of the runtime, as the settings want it. */
import { type SessionOptions, type SessionSettings, sessionSettings } from "../session-settings.js";
import { environment } from "./native-environment.js";
import { addressOf, check, type Handle, type Out, ortApi, outOf, textBytes } from "./ort-api.js";

/** `readBytes` were read for it, and are garbage once this has returned. Throws what ONNX Runtime says. */
export async function createSession(
  path: string,
  asked: SessionOptions,
): Promise<{ readonly session: Handle; readonly readBytes: number }> {
  const settings = await sessionSettings(path, asked);
  const api = ortApi();
  const options = outOf((out: Out<Handle>) => api.CreateSessionOptions(out));
  try {
    applySettings(options, settings);
    const files = addFiles(options, settings);
    const session = outOf((out: Out<Handle>) =>
      api.CreateSession(environment().env, path, options, out),
    );
    return { session, readBytes: bytesOf(files) };
  } finally {
    api.ReleaseSessionOptions(options);
  }
}

function applySettings(options: Handle, settings: SessionSettings): void {
  const api = ortApi();
  const { threads, optimize, profilePrefix, config } = settings;
  if (profilePrefix !== null) check(api.EnableProfiling(options, profilePrefix));
  check(api.SetIntraOpNumThreads(options, threads));
  check(api.SetInterOpNumThreads(options, 1));
  // ORT_DISABLE_ALL and ORT_ENABLE_ALL.
  check(api.SetSessionGraphOptimizationLevel(options, optimize ? 99 : 0));
  check(api.DisableMemPattern(options));
  check(api.SetSessionLogSeverityLevel(options, 4));
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
