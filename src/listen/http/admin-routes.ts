/** Where operators have a port of their own: which routes of a front are there, and which are at the port of everybody. */
import type { HttpFront, Route } from "./http-front.js";

/** Without the routes that are for operators: nobody finds them there, whatever the key. */
export function publicPart(front: HttpFront): HttpFront {
  return part(front, ({ access }) => access !== "admin");
}

/** The routes that are for operators, and those that everybody may ask: health. */
export function adminPart(front: HttpFront): HttpFront {
  return part(front, isForAdmin);
}

function isForAdmin({ access, isPublicOnly = false }: Route): boolean {
  return (access === "admin" || access === "open") && !isPublicOnly;
}

function part(front: HttpFront, isIn: (route: Route) => boolean): HttpFront {
  const { name, pathPrefixes, routes, errorSchema } = front;
  return {
    name,
    pathPrefixes,
    ...(errorSchema === undefined ? {} : { errorSchema }),
    routes: routes.filter(isIn),
    renderError: (error, exchangeId) => front.renderError(error, exchangeId),
  };
}
