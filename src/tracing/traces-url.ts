/** Where a collector takes traces, as OpenTelemetry's own variables mean a base URL: `http://host:4318` → `http://host:4318/v1/traces`. */

const tracesPath = "/v1/traces";

/** Also of a URL that names the place already. */
export function tracesUrlOf(url: string): string {
  const base = url.replace(/\/+$/, "");
  return base.endsWith(tracesPath) ? base : `${base}${tracesPath}`;
}

/** What is wrong with it; null: nothing. */
export function collectorUrlProblem(url: string): string | null {
  if (!URL.canParse(url)) return `${JSON.stringify(url.slice(0, 60))} is no URL`;
  const { protocol, username, password, search, hash } = new URL(url);
  if (protocol !== "http:" && protocol !== "https:") return "OTLP goes over http:// or https://";
  if (username !== "" || password !== "") {
    return "credentials belong into the variable OTEL_EXPORTER_OTLP_HEADERS, where nobody lists them";
  }
  return search === "" && hash === "" ? null : "a collector's URL ends with its path";
}
