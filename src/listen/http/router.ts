/** Which route of which front answers a request. */
import { MillraceError } from "millrace-client/wire";
import type { HttpFront, Route } from "./http-front.js";

/** Whoever answers: a route, or its front's words for why there is none. */
export type Found = { readonly front: HttpFront } & (
  | { readonly route: Route; readonly params: Readonly<Record<string, string>> }
  | { readonly error: MillraceError; readonly allow: string | null; readonly path: string | null }
);

interface Entry {
  readonly front: HttpFront;
  readonly route: Route;
  readonly segments: readonly string[];
}

export class Router {
  /** Paths without names are found at once. */
  readonly #literal = new Map<string, Entry[]>();
  /** The more specific first. */
  readonly #patterns: Entry[][];
  readonly #fronts: readonly HttpFront[];

  /**
   * The first front answers what is nobody's. Where two have the same route it is the one's that stands first; two of one
   * front are a bug of it, and thrown.
   */
  constructor(fronts: readonly HttpFront[]) {
    this.#fronts = fronts;
    const byShape = new Map<string, Entry[]>();
    for (const front of fronts) {
      for (const route of front.routes) {
        const entry = { front, route, segments: route.path.split("/") };
        const shape = shapeOf(entry.segments);
        const same = byShape.get(shape) ?? [];
        const twin = same.find((other) => other.route.method === route.method);
        if (twin?.front === front) {
          throw new Error(`${front.name} answers ${route.method} ${route.path} twice`);
        }
        if (twin !== undefined) continue;
        byShape.set(shape, [...same, entry]);
        if (isLiteral(entry)) this.#literal.set(shape, byShape.get(shape) ?? []);
      }
    }
    this.#patterns = [...byShape.values()]
      .filter(([first]) => first !== undefined && !isLiteral(first))
      .toSorted((left, right) => compareShapes(left[0]?.segments ?? [], right[0]?.segments ?? []));
  }

  find(method: string, path: string): Found {
    const literal = this.#literal.get(path);
    if (literal !== undefined) return choose(literal, method, {});
    const segments = path.split("/");
    for (const entries of this.#patterns) {
      const params = entries[0] === undefined ? null : match(entries[0].segments, segments);
      if (params !== null) return choose(entries, method, params);
    }
    return this.#notFound(path);
  }

  #notFound(path: string): Found {
    let front = this.#fronts[0];
    let longest = -1;
    for (const candidate of this.#fronts) {
      for (const prefix of candidate.pathPrefixes) {
        if (prefix.length <= longest || !path.startsWith(prefix)) continue;
        front = candidate;
        longest = prefix.length;
      }
    }
    if (front === undefined) throw new Error("a listener without a front");
    const shown = JSON.stringify(path.slice(0, 128));
    const known = [...new Set(front.routes.map((route) => route.path))].join(", ");
    const message = `There is no route ${shown}; there are ${known}.`;
    return { front, error: new MillraceError("not_found", message), allow: null, path: null };
  }
}

/** Without query and, where a proxy sent the absolute form, without scheme and host. */
export function pathOf(url: string): string {
  return url.replace(/^https?:\/\/[^/?#]*/i, "").replace(/[?#].*$/s, "") || "/";
}

/** Equal for two paths that match the same requests. */
function shapeOf(segments: readonly string[]): string {
  return segments.map((segment) => (isName(segment) ? "{}" : segment)).join("/");
}

function isLiteral({ segments }: Entry): boolean {
  return !segments.some((segment) => segment === "*" || isName(segment));
}

function isName(segment: string): boolean {
  return segment.startsWith("{") && segment.endsWith("}");
}

/** Segment by segment: literal, then name, then rest; so at most one order of any two that match the same path. */
function compareShapes(left: readonly string[], right: readonly string[]): number {
  const rank = (segment: string | undefined): number =>
    segment === undefined || segment === "*" ? 2 : isName(segment) ? 1 : 0;
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const order = rank(left[at]) - rank(right[at]);
    if (order !== 0) return order;
  }
  return 0;
}

function match(
  pattern: readonly string[],
  segments: readonly string[],
): Record<string, string> | null {
  const params: Record<string, string> = {};
  for (const [at, wanted] of pattern.entries()) {
    if (wanted === "*") {
      const rest = decoded(segments.slice(at).join("/"));
      return rest === null || segments.length <= at ? null : { ...params, rest };
    }
    const segment = segments[at];
    if (segment === undefined) return null;
    if (!isName(wanted)) {
      if (segment !== wanted) return null;
      continue;
    }
    const value = decoded(segment);
    if (value === null || value === "") return null;
    params[wanted.slice(1, -1)] = value;
  }
  return segments.length === pattern.length ? params : null;
}

/** Null where the escapes are broken: such a path is no route's. */
function decoded(segment: string): string | null {
  try {
    return decodeURIComponent(segment);
  } catch {
    return null;
  }
}

function choose(
  entries: readonly Entry[],
  sent: string,
  params: Readonly<Record<string, string>>,
): Found {
  const method = sent === "HEAD" ? "GET" : sent;
  const entry = entries.find(({ route }) => route.method === method);
  if (entry !== undefined) return { front: entry.front, route: entry.route, params };
  const [first] = entries;
  if (first === undefined) throw new Error("a path without a route");
  const allow = entries
    .flatMap(({ route }) => (route.method === "GET" ? ["GET", "HEAD"] : [route.method]))
    .join(", ");
  const { path } = first.route;
  const message = `${path} takes ${allow}, not ${sent}.`;
  const error = new MillraceError("method_not_allowed", message);
  return { front: first.front, error, allow, path };
}
