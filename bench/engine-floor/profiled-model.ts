/** A model whose sessions write down what each operator took. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { GenerationManifest } from "#src/models/manifest-generation.js";
import { GenerationModel } from "#src/runtime/generation/generation-model.js";
import { NativeSession } from "#src/runtime/native/native-session.js";
import { type SessionTimes, sessionTimes } from "../harness/operator-times.js";

const sides = ["encoder", "decoder"] as const;
export type Sides<Value> = Readonly<Record<(typeof sides)[number], Value>>;

export interface ModelChoice {
  readonly modelDir: string;
  readonly manifest: GenerationManifest;
  readonly threads: number;
}

export async function openModel({
  modelDir,
  manifest,
  threads,
}: ModelChoice): Promise<GenerationModel> {
  const { encoder, decoder, weights } = manifest.files;
  const paths = { encoder: join(modelDir, encoder), decoder: join(modelDir, decoder) };
  return await GenerationModel.load(paths, manifest, { threads, spin: false, data: [weights] });
}

export interface ProfiledModel {
  readonly model: GenerationModel;
  /** Ends the profile; the model can still run. */
  take(): Sides<SessionTimes>;
}

/** Profiles are written into `dir`. */
export async function openProfiled(choice: ModelChoice, dir: string): Promise<ProfiledModel> {
  const folders = { encoder: join(dir, "encoder"), decoder: join(dir, "decoder") };
  for (const side of sides) await mkdir(folders[side]);
  const opened: NativeSession[] = [];
  // The model opens its sessions itself and shows them to nobody; it does so here, in this order, one after the other.
  // oxlint-disable-next-line typescript/unbound-method -- it uses no `this`, and is put back as it was
  const open = NativeSession.open;
  NativeSession.open = async (path, options) => {
    const side = opened.length === 0 ? "encoder" : "decoder";
    const session = await open(path, { ...options, profilePrefix: join(folders[side], side) });
    opened.push(session);
    return session;
  };
  try {
    const model = await openModel(choice);
    const take = (): Sides<SessionTimes> => {
      for (const session of opened) session.endProfiling();
      return { encoder: sessionTimes(folders.encoder), decoder: sessionTimes(folders.decoder) };
    };
    return { model, take };
  } finally {
    NativeSession.open = open;
  }
}
