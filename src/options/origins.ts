/**
 * Which web pages may call, by their origins. A browser asks before it lets a page read an answer; a WebSocket is not asked for, so
 * whoever listens for those has to look at the origin itself.
 */
export interface Origins {
  /** Null: no page with this origin; else what `access-control-allow-origin` says. */
  allowed(origin: string): string | null;
}

/** As the option has them: `*`, or origins with commas between; null: none. */
export function originsOf(option: string | null): Origins {
  if (option === null) return { allowed: () => null };
  if (option === "*") return { allowed: () => "*" };
  const listed = new Set(split(option));
  return { allowed: (origin) => (listed.has(origin) ? origin : null) };
}

export function isOrigins(option: string): boolean {
  return option === "*" || split(option).every(isOrigin);
}

function split(option: string): readonly string[] {
  return option.split(",").map((each) => each.trim());
}

/** As a browser sends it: scheme, host, and the port where it is not the scheme's own. */
function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}
