/** The folder of models as callers that may administrate see it: what is served from it, and what is not although it could be. */
export interface ModelRepository {
  /** By name: their folders are there, and nobody is served from them. */
  readonly unloaded: readonly string[];
  /**
   * Looks at the folder again, serves the model as it is there now, and has it loaded; resolves when it is, or serves it when
   * somebody asks where there is no room.
   *
   * @throws MillraceError `model_not_found`, `model_folder_invalid` (it cannot be loaded), `draining`
   */
  load(name: string): Promise<void>;
  /**
   * Nobody is let in for it any more until it is loaded again; what was let in finishes. A server that starts anew serves it.
   *
   * @throws MillraceError `model_not_found`, `draining`
   */
  unload(name: string): void;
}
