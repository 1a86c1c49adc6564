/**
 * What a least-squares line is drawn through, y over x, of points that count less and less. Who draws it decides what to
 * believe where the points say nothing of a slope, or say what cannot be.
 */
export class FadingSums {
  #w = 0;
  #wx = 0;
  #wxx = 0;
  #wy = 0;
  #wxy = 0;

  /** Of all points; 0 until there is one. */
  get weight(): number {
    return this.#w;
  }

  /** `keep`: the part of its weight that each point keeps. */
  fade(keep: number): void {
    this.#w *= keep;
    this.#wx *= keep;
    this.#wxx *= keep;
    this.#wy *= keep;
    this.#wxy *= keep;
  }

  add(weight: number, x: number, y: number): void {
    this.#w += weight;
    this.#wx += weight * x;
    this.#wxx += weight * x * x;
    this.#wy += weight * y;
    this.#wxy += weight * x * y;
  }

  /** `spread` is the variance of x; the slope is `covariance / spread`. Not to be asked before there is a point. */
  get moments(): { meanX: number; meanY: number; spread: number; covariance: number } {
    const meanX = this.#wx / this.#w;
    const meanY = this.#wy / this.#w;
    const spread = this.#wxx / this.#w - meanX * meanX;
    return { meanX, meanY, spread, covariance: this.#wxy / this.#w - meanX * meanY };
  }
}
