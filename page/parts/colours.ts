/** A model has one colour on all of the page; behind so many they share the last. */

const coloursMax = 8;

/** Of class names, in page.css. By the place in the list of all models, which the server keeps in one order. */
export function colourOf(model: string, models: readonly string[]): string {
  const at = models.indexOf(model);
  return `c${at === -1 || at >= coloursMax ? coloursMax : at}`;
}
