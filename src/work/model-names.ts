/** What models are called: `minilm@2` is version 2 of what `minilm` is the name of. */

/** `minilm` of `minilm@2`, and of itself. */
export function unversioned(name: string): string {
  return name.split("@")[0] ?? name;
}

/** Whoever names no model means no old version: of models that have versions, only what their names mean. */
export function meantUnnamed<Model extends { readonly name: string }>(
  models: readonly Model[],
): readonly Model[] {
  const plain = models.filter(({ name }) => unversioned(name) === name);
  return plain.length > 0 ? plain : models;
}
