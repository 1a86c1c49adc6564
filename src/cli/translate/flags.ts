import { MillraceError, type WorkClass } from "millrace-client";

/** The flags of `translate` as commander gives them; each part takes those that it reads. */
export interface TranslateFlags {
  readonly datafile?: string;
  readonly out?: string;
  readonly url: string;
  readonly model?: string;
  readonly beams?: number;
  readonly nBest?: number;
  readonly class?: WorkClass;
  readonly requestTexts?: number;
  readonly expectEnvironment?: string;
  readonly json?: boolean;
  readonly jsonSummary?: boolean;
  readonly progress: boolean;
}

/** A path that a flag names, and why nothing can be done with it. */
export function unusable(flag: string, path: string, cause: unknown): MillraceError {
  const reason = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  return new MillraceError("option_invalid", `${flag}: cannot use ${path} (${reason})`, { cause });
}
