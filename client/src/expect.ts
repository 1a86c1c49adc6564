import { type DeploymentIdentity, headerNames, MillraceError } from "./wire/index.js";

/** The deployment that a caller means to reach; any other refuses, and is refused here too. */
export type ExpectedDeployment = Partial<
  Pick<DeploymentIdentity, "name" | "environment" | "version" | "configHash">
>;

/** The header's key of each part. */
const keys = [
  ["name", "name"],
  ["environment", "environment"],
  ["version", "version"],
  ["configHash", "config"],
] as const;

/** The value of `x-millrace-expect`, or null where nothing is demanded. */
export function expectHeader(expected: ExpectedDeployment): string | null {
  const parts: string[] = [];
  for (const [property, key] of keys) {
    const value = expected[property];
    if (value === undefined) continue;
    // A comma or a line break would turn into another demand, or another header.
    if (!/^[!-+\--~]+$/.test(value)) {
      throw new MillraceError(
        "option_invalid",
        `expect.${property} must be visible ASCII without spaces and commas.`,
      );
    }
    parts.push(`${key}=${value}`);
  }
  return parts.length === 0 ? null : parts.join(", ");
}

/**
 * Throws `deployment_mismatch` unless the reply's header names what the caller expects. The server checks the
 * same, but only a Millrace server does, and perhaps not the one that a proxy asked.
 */
export function checkDeployment(expected: ExpectedDeployment, headers: Headers): void {
  const wanted = keys.filter(([property]) => expected[property] !== undefined);
  if (wanted.length === 0) return;
  const header = headers.get(headerNames.deployment);
  if (header === null) {
    throw new MillraceError(
      "response_invalid",
      `The reply has no ${headerNames.deployment} header, so it cannot be held to \`expect\`; across origins the server must expose that header.`,
    );
  }
  const answered = new Map(header.split(",").map(splitPart));
  for (const [property, key] of wanted) {
    const wantedValue = expected[property];
    if (answered.get(key) === wantedValue) continue;
    throw new MillraceError(
      "deployment_mismatch",
      `Expected ${property} ${String(wantedValue)}, but ${answered.get(key) ?? "nothing"} answered (${header}).`,
    );
  }
}

/** The same of what a greeting says. */
export function checkIdentity(expected: ExpectedDeployment, identity: DeploymentIdentity): void {
  for (const [property] of keys) {
    const wanted = expected[property];
    if (wanted === undefined || identity[property] === wanted) continue;
    throw new MillraceError(
      "deployment_mismatch",
      `Expected ${property} ${wanted}, but ${identity[property]} answered.`,
    );
  }
}

/** Who answered, as the reply's header says it; null where it does not, or where a browser hides it. */
export function readDeployment(headers: Headers): DeploymentIdentity | null {
  const parts = new Map((headers.get(headerNames.deployment) ?? "").split(",").map(splitPart));
  const [name, environment, version] = [
    parts.get("name"),
    parts.get("environment"),
    parts.get("version"),
  ];
  const [configHash, node] = [parts.get("config"), parts.get("node")];
  if (name === undefined || environment === undefined || version === undefined) return null;
  if (configHash === undefined || node === undefined) return null;
  return { name, environment, version, configHash, node };
}

function splitPart(part: string): readonly [string, string] {
  const at = part.indexOf("=");
  return [part.slice(0, at).trim(), part.slice(at + 1).trim()];
}
