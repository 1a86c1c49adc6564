/**
 * Which routes of a front are where: operators may have a port of their own, and a node of a deployment has no callers but its edges.
 */
import { MillraceError } from "millrace-client/wire";
import type { HttpFront, Route } from "./http-front.js";

/** Without the routes that are for operators: nobody finds them there, whatever the key. */
export function publicPart(front: HttpFront): HttpFront {
  return part(front, ({ access, isAdminOnly = false }) => access !== "admin" && !isAdminOnly);
}

/** The routes that are for operators, and those that everybody may ask: health. */
export function adminPart(front: HttpFront): HttpFront {
  return part(front, isForAdmin);
}

/** What health and operation need; whoever asks for work is told where that is taken. */
export function nodePart(front: HttpFront): HttpFront {
  const routes = front.routes.map((route): Route => {
    const { method, access } = route;
    return method === "GET" || access === "admin" || access === "open"
      ? route
      : { ...route, handler: refuseAtNode };
  });
  return { ...part(front, () => true), routes };
}

function refuseAtNode(): never {
  const message = "This server is a node (--role node): ask an edge of its deployment.";
  throw new MillraceError("not_found", message);
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
