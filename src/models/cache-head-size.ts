const multiple = 8;

/** Floats of a head of `size` floats where keys and values are kept: the kernels of attention take nothing between. */
export function cacheHeadSize(size: number): number {
  return multiple * Math.ceil(size / multiple);
}
