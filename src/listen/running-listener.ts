/** READ FIRST of this folder. What the server knows of a listener, whatever it speaks. */
export interface RunningListener {
  /** Where it listens, for the log: `http://127.0.0.1:8400`. */
  readonly url: string;
  /** Takes no new work from now on. Resolves when all that it took is answered. Again: the same promise. */
  drained(): Promise<void>;
  /** Stops listening and closes what is open. */
  close(): Promise<void>;
}
