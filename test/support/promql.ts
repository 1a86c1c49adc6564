/** Which metrics and labels a query of PromQL names: its words, by where they stand. */

export interface NamedInQuery {
  readonly metrics: ReadonlySet<string>;
  /** Of a selector: metric → the labels in its braces, with the values that are equal to a text. */
  readonly selectors: readonly { readonly metric: string; readonly label: string }[];
  /** Of `by`, `on` and their like. */
  readonly grouped: ReadonlySet<string>;
}

const token =
  /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\[[^\]]*\]|[A-Za-z_:][\w:]*|\d+(?:\.\d+)?(?:[smhdwy]|ms)?|=~|!~|!=|==|>=|<=|[-+*/%^(){}=<>,@]|\s+|#[^\n]*/y;

const groupingWords = new Set(["by", "without", "on", "ignoring", "group_left", "group_right"]);
const operatorWords = new Set(["and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"]);

/** @throws where it is no PromQL that is understood here */
export function namesIn(query: string): NamedInQuery {
  const tokens = tokensOf(query);
  const metrics = new Set<string>();
  const grouped = new Set<string>();
  const selectors: { metric: string; label: string }[] = [];
  let last = "";
  for (let at = 0; at < tokens.length; at += 1) {
    const word = tokens[at] ?? "";
    const next = tokens[at + 1] ?? "";
    if (word === "{") {
      const end = tokens.indexOf("}", at);
      if (last === "" || end < 0) throw new Error(`a selector of nothing in ${query}`);
      const inner = tokens.slice(at + 1, end);
      for (const [place, label] of inner.entries()) {
        if (/^[=!]/.test(inner[place + 1] ?? "")) selectors.push({ metric: last, label });
      }
      at = end;
    } else if (groupingWords.has(word) && next === "(") {
      const end = tokens.indexOf(")", at);
      for (const each of tokens.slice(at + 2, end)) if (each !== ",") grouped.add(each);
      at = end;
    } else if (/^[A-Za-z_:]/.test(word)) {
      const isFunction = next === "(" || groupingWords.has(next);
      if (isFunction || operatorWords.has(word) || groupingWords.has(word)) continue;
      metrics.add(word);
      last = word;
    }
  }
  return { metrics, selectors, grouped };
}

function tokensOf(query: string): string[] {
  const tokens: string[] = [];
  token.lastIndex = 0;
  while (token.lastIndex < query.length) {
    const at = token.lastIndex;
    const [found] = token.exec(query) ?? [];
    if (found === undefined) throw new Error(`nothing is known of ${query.slice(at, at + 20)}`);
    if (!/^[\s#]/.test(found)) tokens.push(found);
  }
  return tokens;
}

/** A page of `/metrics`: each name that has a sample, with the labels that its samples have. */
export function samplesIn(page: string): ReadonlyMap<string, ReadonlySet<string>> {
  const samples = new Map<string, Set<string>>();
  for (const [, name = "", labels = ""] of page.matchAll(/^([A-Za-z_:][\w:]*)(\{.*\})? \S+$/gm)) {
    const known = samples.get(name) ?? new Set();
    samples.set(name, known);
    for (const [, label = ""] of labels.matchAll(/([A-Za-z_]\w*)="(?:[^"\\]|\\.)*"/g))
      known.add(label);
  }
  return samples;
}
