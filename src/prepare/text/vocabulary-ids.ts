/**
 * Ids in a tokenizer.json are places in a list, for the library that reads it: one token of the id 2,147,483,647 would be a list of two
 * thousand million places, and minutes in which nothing else happens.
 */

/** The largest vocabularies that are published have some 300,000 tokens. */
const idMax = 2_000_000;

/** Throws a plain Error that names the token. */
export function checkVocabularyIds(tokenizerJson: object): void {
  const { added_tokens: added, model } = tokenizerJson as {
    readonly added_tokens?: unknown;
    readonly model?: { readonly vocab?: unknown };
  };
  if (Array.isArray(added)) {
    for (const token of added as readonly ({
      readonly id?: unknown;
      readonly content?: unknown;
    } | null)[]) {
      check(token?.id, token?.content);
    }
  }
  const vocab = model?.vocab;
  // A list has its places for ids.
  if (typeof vocab !== "object" || vocab === null || Array.isArray(vocab)) return;
  for (const [token, id] of Object.entries(vocab)) check(id, token);
}

function check(id: unknown, token: unknown): void {
  if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= idMax) return;
  const [named, said] = [token, id].map((value) => String(JSON.stringify(value)).slice(0, 80));
  throw new Error(`the id of ${named} is ${said}; ids are integers from 0 to ${idMax}`);
}
