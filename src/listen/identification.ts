/** What every listener over HTTP asks of its caller before it looks at anything else. */
import type { IncomingHttpHeaders } from "node:http";

/** Who asks and who answers: the same for every front. */
export interface Identification {
  /** The caller's own id where it is one that can be used. */
  idOf(headers: IncomingHttpHeaders): string;
  /** On every reply, also on those to what was no request. */
  headersFor(exchangeId: string): Readonly<Record<string, string>>;
  /** @throws MillraceError where the caller wants another deployment. Comes before anything else. */
  check(headers: IncomingHttpHeaders): void;
}
