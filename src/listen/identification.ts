/** Who asks and who answers, as headers on every exchange of every front, and whether the caller wanted somebody else. */
import { randomUUID } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import {
  apiLimits,
  type DeploymentIdentity,
  headerNames,
  MillraceError,
} from "millrace-client/wire";
import { didYouMean } from "../near-miss.js";

/** Who asks and who answers: the same for every front. */
export interface Identification {
  /** The caller's own id where it is one that can be used. */
  idOf(headers: IncomingHttpHeaders): string;
  /** On every reply, also on those to what was no request. */
  headersFor(exchangeId: string): Readonly<Record<string, string>>;
  /** @throws MillraceError where the caller wants another deployment. Comes before anything else. */
  check(headers: IncomingHttpHeaders): void;
}

/** Key in the headers → field of the identity. */
const fields = {
  name: "name",
  environment: "environment",
  version: "version",
  config: "configHash",
  node: "node",
} as const satisfies Record<string, keyof DeploymentIdentity>;

export function identificationOf(identity: DeploymentIdentity): Identification {
  const deployment = deploymentHeader(identity);
  return {
    idOf: (headers) => requestId(headers[headerNames.requestId]),
    headersFor: (id) => ({ [headerNames.requestId]: id, [headerNames.deployment]: deployment }),
    check: (headers) => {
      const expected = headers[headerNames.expect];
      if (typeof expected === "string") checkExpectation(expected, identity);
    },
  };
}

/** Ours where the caller sent none, or one that does not belong into a header or a log line. */
function requestId(sent: string | readonly string[] | undefined): string {
  const usable =
    typeof sent === "string" &&
    sent.length <= apiLimits.requestIdCharactersMax &&
    /^[\x21-\x7e]+$/.test(sent);
  return usable ? sent : randomUUID();
}

function deploymentHeader(identity: DeploymentIdentity): string {
  return Object.entries(fields)
    .map(([key, field]) => `${key}=${identity[field]}`)
    .join(", ");
}
/**
 * @throws MillraceError `deployment_mismatch` naming what was expected and what answered; `bad_request` where the
 * header cannot be understood, for a demand that we cannot check must not pass.
 */
function checkExpectation(header: string, identity: DeploymentIdentity): void {
  for (const demand of header.split(",")) {
    const [key = "", value, ...rest] = demand.split("=").map((part) => part.trim());
    if (value === undefined || value === "" || rest.length > 0) {
      throw malformed(
        `\`${headerNames.expect}\` is a list of key=value, not ${JSON.stringify(demand.slice(0, 64))}`,
      );
    }
    if (!isField(key)) {
      throw malformed(
        `\`${headerNames.expect}\` knows no ${JSON.stringify(key.slice(0, 64))}${didYouMean(key, Object.keys(fields))}`,
      );
    }
    const actual = identity[fields[key]];
    if (actual !== value) {
      throw new MillraceError(
        "deployment_mismatch",
        `Expected ${key} ${JSON.stringify(value.slice(0, 128))}, but this is ${key} "${actual}" (${deploymentHeader(identity)}).`,
        { param: headerNames.expect },
      );
    }
  }
}

function isField(key: string): key is keyof typeof fields {
  return Object.hasOwn(fields, key);
}

function malformed(message: string): MillraceError {
  return new MillraceError("bad_request", message, { param: headerNames.expect });
}
