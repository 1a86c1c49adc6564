/** How a graph is opened. */
import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

export interface SessionOptions {
  /** 0: as many as there are cores. */
  readonly threads: number;
  /** Keep worker threads spinning between runs: faster small runs, a busy core. */
  readonly spin: boolean;
  /** False: weights stay in the mapped file, for a model that need not be fast but may be larger than the memory. */
  readonly prepack?: boolean;
  /** The int8 weights overflow 16-bit sums: on a processor that has no others, another way that is exact. */
  readonly wideSums?: boolean;
  /** The graph is one of `writePacked`. */
  readonly packed?: boolean;
  /** Where that writes it. */
  readonly written?: { readonly graph: string; readonly weightsName: string };
  /** Of the file that tells how long each node took; see `NativeSession.endProfiling`. */
  readonly profilePrefix?: string;
  /** Files of weights beside the graph that are read, and not mapped. Default: all that it names are mapped. */
  readonly data?: readonly string[];
}

/** What ONNX Runtime is told. */
export interface SessionSettings {
  readonly threads: number;
  readonly optimize: boolean;
  readonly profilePrefix: string | null;
  /** Where the graph is written, as it was optimised. */
  readonly optimizedPath: string | null;
  /** Entries of the session's configuration, by their whole keys. */
  readonly config: Readonly<Record<string, string>>;
  /** Files that the graph refers to, as they are read here. */
  readonly externalData: readonly { readonly path: string; readonly data: Uint8Array }[];
}

export async function sessionSettings(
  path: string,
  options: SessionOptions,
): Promise<SessionSettings> {
  return { ...plainSettings(options), externalData: await readData(path, options) };
}

/** Of a graph that refers to no files. */
export function plainSettings(options: SessionOptions): Omit<SessionSettings, "externalData"> {
  return {
    threads: options.threads,
    // A packed graph was optimised when it was written; again it would be the same, and take longer.
    optimize: options.packed !== true,
    profilePrefix: options.profilePrefix ?? null,
    optimizedPath: options.written?.graph ?? null,
    config: {
      // exp of a masked score is a denormal, and those cost a hundred cycles each.
      "session.set_denormal_as_zero": "1",
      "session.intra_op.allow_spinning": options.spin ? "1" : "0",
      "session.disable_prepacking": options.prepack === false ? "1" : "0",
      // ONNX Runtime looks at the processor itself, and changes nothing where its sums are wide.
      "session.x64quantprecision": options.wideSums === true ? "1" : "0",
      // What is packed for its hash is given back to the system, not kept for runs.
      "session.use_device_allocator_for_initializers": options.packed === true ? "1" : "0",
      ...(options.written && writtenConfig(options.written)),
    },
  };
}

function writtenConfig({ weightsName }: NonNullable<SessionOptions["written"]>) {
  return {
    "session.save_external_prepacked_constant_initializers": "1",
    "session.optimized_model_external_initializers_file_name": weightsName,
    // Shapes must stand in the graph itself, or it cannot be read again.
    "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
  };
}

/** More fits into no buffer of every Node that is served: it is mapped. */
const readBytesMax = 2 ** 31 - 1;

/**
 * What is mapped from a folder changes when somebody copies another version over it: the sessions that are there would give
 * results of neither, and where the file is shorter for a moment the process dies. What is written once and never again, as in
 * the cache, is mapped.
 */
async function readData(
  path: string,
  { data = [], packed = false }: SessionOptions,
): Promise<{ path: string; data: Uint8Array }[]> {
  const names = packed ? [] : data;
  const files = names.map((name) => ({ name, file: join(dirname(path), name) }));
  const sizes = await Promise.all(files.map(async ({ file }) => (await stat(file)).size));
  return await Promise.all(
    files
      .filter((_, place) => (sizes[place] ?? 0) <= readBytesMax)
      .map(async ({ name, file }) => ({ path: name, data: await readFile(file) })),
  );
}
