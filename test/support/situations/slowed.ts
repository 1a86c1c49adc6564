/** A process that gets a part of the processor's time only, as where something else has its core. */
export class Slowed implements Disposable {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;

  /** Runs one of so many hundredths of a second. */
  constructor(pid: number, of: number = 4) {
    this.#pid = pid;
    let at = 0;
    this.#timer = setInterval(() => {
      at += 1;
      process.kill(pid, at % of === 0 ? "SIGCONT" : "SIGSTOP");
    }, 10);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    process.kill(this.#pid, "SIGCONT");
  }
}
