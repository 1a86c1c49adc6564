/** What is asked of a profile of a running server. */
export interface ProfileAsked {
  readonly of: string;
  /** From 1 to 60. */
  readonly seconds: number;
  /** Of a pipeline: what ONNX Runtime does in its runs, too. Default: false. */
  readonly operators?: boolean;
  /** 1 to 64 letters, digits, `_` and `-`: a name of one's own by which `endProfile` ends this one, and nobody else's. */
  readonly id?: string;
}

export interface EndProfileOptions {
  readonly signal?: AbortSignal;
  /** Of `ProfileAsked`. Without it whichever profile is taken ends, whoever asked for it. */
  readonly id?: string;
}
