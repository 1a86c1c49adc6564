/** Rectangles that are not upright. Points are centres of pixels; y grows downwards. */

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Four corners, clockwise as they are seen, from the one at the top left. */
export type Quad = readonly [Point, Point, Point, Point];

/** As a centre, the unit vector along one side, and the lengths along it and across. */
export interface Rectangle {
  readonly centre: Point;
  readonly axis: Point;
  readonly along: number;
  readonly across: number;
}

/** The corners of the smallest convex polygon around the points, which must be sorted by y, then x. (Andrew's chain.) */
export function convexHull(points: readonly Point[]): Point[] {
  if (points.length < 3) return [...points];
  const half = (ordered: readonly Point[]): Point[] => {
    const hull: Point[] = [];
    for (const point of ordered) {
      for (;;) {
        const [before, last] = [hull.at(-2), hull.at(-1)];
        if (before === undefined || last === undefined || turnsLeft(before, last, point)) break;
        hull.pop();
      }
      hull.push(point);
    }
    return hull.slice(0, -1);
  };
  return [...half(points), ...half(points.toReversed())];
}

function turnsLeft(from: Point, over: Point, to: Point): boolean {
  return (over.x - from.x) * (to.y - from.y) - (over.y - from.y) * (to.x - from.x) > 0;
}

/** The rectangle of the least area around a convex polygon: one of its sides lies on a side of the polygon. */
export function smallestRectangle(hull: readonly Point[]): Rectangle {
  const [first = { x: 0, y: 0 }] = hull;
  let best: Rectangle = { centre: first, axis: { x: 1, y: 0 }, along: 0, across: 0 };
  let area = Number.POSITIVE_INFINITY;
  for (const [index, from] of hull.entries()) {
    const to = hull[(index + 1) % hull.length] ?? from;
    const length = Math.hypot(to.x - from.x, to.y - from.y);
    if (length === 0) continue;
    const found = rectangleAlong(hull, {
      x: (to.x - from.x) / length,
      y: (to.y - from.y) / length,
    });
    if (found.along * found.across >= area) continue;
    area = found.along * found.across;
    best = found;
  }
  return best;
}

function rectangleAlong(points: readonly Point[], axis: Point): Rectangle {
  let [u0, u1, v0, v1] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { x, y } of points) {
    const u = x * axis.x + y * axis.y;
    const v = y * axis.x - x * axis.y;
    u0 = Math.min(u0, u);
    u1 = Math.max(u1, u);
    v0 = Math.min(v0, v);
    v1 = Math.max(v1, v);
  }
  const [u, v] = [(u0 + u1) / 2, (v0 + v1) / 2];
  const centre = { x: u * axis.x - v * axis.y, y: u * axis.y + v * axis.x };
  return { centre, axis, along: u1 - u0, across: v1 - v0 };
}

/** So much larger on each side. */
export function grown(rectangle: Rectangle, by: number): Rectangle {
  return { ...rectangle, along: rectangle.along + 2 * by, across: rectangle.across + 2 * by };
}

/** Of the two corners on the left the upper one is the first, of those on the right the second. */
export function cornersOf({ centre, axis, along, across }: Rectangle): Quad {
  const corner = (u: number, v: number): Point => ({
    x: centre.x + (u * axis.x * along - v * axis.y * across) / 2,
    y: centre.y + (u * axis.y * along + v * axis.x * across) / 2,
  });
  const corners = [corner(-1, -1), corner(1, -1), corner(1, 1), corner(-1, 1)];
  const [a, b, c, d] = corners.toSorted((left, right) => left.x - right.x);
  const origin = { x: 0, y: 0 };
  const [topLeft, bottomLeft] = byHeight(a ?? origin, b ?? origin);
  const [topRight, bottomRight] = byHeight(c ?? origin, d ?? origin);
  return [topLeft, topRight, bottomRight, bottomLeft];
}

function byHeight(one: Point, other: Point): readonly [upper: Point, lower: Point] {
  return one.y <= other.y ? [one, other] : [other, one];
}

export function distance(from: Point, to: Point): number {
  return Math.hypot(to.x - from.x, to.y - from.y);
}

/** Where a horizontal line crosses a convex polygon; null where it does not. */
export function crossing(
  polygon: readonly Point[],
  y: number,
): readonly [from: number, to: number] | null {
  let [from, to] = [Infinity, -Infinity];
  for (const [index, one] of polygon.entries()) {
    const other = polygon[(index + 1) % polygon.length] ?? one;
    if (y < Math.min(one.y, other.y) || y > Math.max(one.y, other.y)) continue;
    const level = other.y === one.y;
    const x = level ? one.x : one.x + ((y - one.y) / (other.y - one.y)) * (other.x - one.x);
    from = Math.min(from, x, level ? other.x : x);
    to = Math.max(to, x, level ? other.x : x);
  }
  return from <= to ? [from, to] : null;
}
