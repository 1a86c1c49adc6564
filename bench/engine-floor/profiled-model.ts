/** A model whose sessions write down what each operator took. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { GenerationManifest } from "#src/models/manifest-generation.js";
import { GenerationModel, type LoadOptions } from "#src/runtime/generation/generation-model.js";
import { type SessionTimes, sessionTimes } from "../harness/operator-times.js";

const sides = ["encoder", "decoder"] as const;
export type Sides<Value> = Readonly<Record<(typeof sides)[number], Value>>;

export interface ModelChoice {
  readonly modelDir: string;
  readonly manifest: GenerationManifest;
  readonly threads: number;
}

export async function openModel(
  { modelDir, manifest, threads }: ModelChoice,
  profile: Pick<LoadOptions, "profilePrefixes"> = {},
): Promise<GenerationModel> {
  const { encoder, decoder, weights } = manifest.files;
  const paths = { encoder: join(modelDir, encoder), decoder: join(modelDir, decoder) };
  const options = { threads, spin: false, data: [weights], ...profile };
  return await GenerationModel.load(paths, manifest, options);
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
  const profilePrefixes = {
    encoder: join(folders.encoder, "encoder"),
    decoder: join(folders.decoder, "decoder"),
  };
  const model = await openModel(choice, { profilePrefixes });
  const take = (): Sides<SessionTimes> => {
    model.endProfiling();
    return { encoder: sessionTimes(folders.encoder), decoder: sessionTimes(folders.decoder) };
  };
  return { model, take };
}
