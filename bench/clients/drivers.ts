/** The one table of protocols that the benchmark speaks: a new one is a line here. */
import { httpDriver } from "./drivers/http-driver.js";

export interface DriverTarget {
  /** Of the HTTP listener. */
  readonly url: string;
  /** Of the others, by the option that opens them. */
  readonly ports: Readonly<Record<string, number | undefined>>;
  readonly model: string;
  readonly callers: number;
}

export interface Driver extends AsyncDisposable {
  /** How many texts one request takes. */
  readonly textsMax: number;
  /** Resolves to the number of vectors that came; each caller has a connection of its own where the protocol's clients have one. */
  send(caller: number, texts: readonly string[]): Promise<number>;
}

interface DriverKind {
  readonly name: string;
  readonly open: (target: DriverTarget) => Promise<Driver>;
}

export const drivers: readonly DriverKind[] = [
  {
    name: "HTTP",
    open: httpDriver({
      path: () => "/v1/embed",
      body: (texts, model) => ({ texts, model, encoding: "base64" }),
      count: (reply) =>
        (reply["results"] as readonly { readonly embedding?: string }[]).filter(
          ({ embedding }) => embedding !== undefined,
        ).length,
      textsMax: 1_024,
    }),
  },
];
