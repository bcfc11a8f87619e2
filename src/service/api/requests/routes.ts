/**
 * Routes of the control API: from a request's method and path to its handler.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { keyHint, suggestedKey } from "../../../text/arguments.ts";
import { printable } from "../../../text/printable.ts";
import type { AuditEntry } from "./audit_log.ts";
import type { Peer } from "../connections/listener.ts";
import { HttpError } from "./messages.ts";

/** Longest path that a hint quotes. **Units**: characters. */
const MAX_SHOWN_PATH = 200;

/** A request and its response, while it is handled. */
export interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  peer: Peer;
  /** Name in the path; empty if the route has none. */
  name: string;
  query: URLSearchParams;
  /** Entry of the audit log if it is refused; handlers add what they know. */
  attempt: Omit<AuditEntry, "action" | "outcome">;
}

/** Query parameters by name: how often a request may give each. */
export type QueryParameters = Readonly<Record<string, "once" | "repeatable">>;

/** A method and path of the API. */
export interface Route {
  method: string;
  path: RegExp;
  /** Action in the audit log; absent for a route that changes nothing. */
  action?: AuditEntry["action"];
  /** Query parameters that the route has; all others are refused. */
  query?: QueryParameters;
  /** Set if it reads the request's body; the body of others is discarded. */
  takesBody?: true;
  handle(exchange: Exchange): Promise<void> | void;
}

/** Parses a request target; two slashes at its beginning name no host. */
function parseTarget(target: string): URL | null {
  return target.startsWith("/")
    ? URL.parse(`http://gpioagg${target}`)
    : URL.parse(target, "http://gpioagg");
}

/**
 * Finds the route of a request, and the name and query in its path.
 *
 * @throws {HttpError} If there is none, or the path is invalid.
 */
export function findRoute(
  routes: readonly Route[],
  request: IncomingMessage,
): { route: Route; name: string; query: URLSearchParams } {
  const url = parseTarget(request.url ?? "");
  if (url === null) throw new HttpError(400, "Invalid request path");
  const { pathname } = url;
  const known = routes.filter(({ path }) => path.test(pathname));
  if (known.length === 0) {
    throw new HttpError(
      404,
      `There is nothing at ${printable(pathname)}`,
      nearPath(routes, pathname) ?? "/openapi.json lists all paths",
    );
  }
  // Every GET has a HEAD too; node:http leaves the body out.
  const wanted = request.method === "HEAD" ? "GET" : request.method;
  const route = known.find(({ method }) => method === wanted);
  if (route === undefined) {
    const allow = known.map(({ method }) =>
      method === "GET" ? "GET, HEAD" : method
    ).join(", ");
    throw new HttpError(
      405,
      `Cannot ${request.method} ${printable(pathname)}`,
      "/openapi.json lists the methods of each path",
      { allow },
    );
  }
  const [, part = ""] = route.path.exec(pathname)!;
  try {
    const name = decodeURIComponent(part);
    return { route, name, query: url.searchParams };
  } catch {
    throw new HttpError(400, `"${printable(part)}" is not a valid name`);
  }
}

/** Returns the hint for a path with slashes or a version too many or too few. */
function nearPath(
  routes: readonly Route[],
  pathname: string,
): string | undefined {
  const plain = pathname.replace(/\/{2,}/g, "/").replace(/(?<=.)\/$/, "");
  const near = [plain, plain.replace(/^\/v\d+(?=\/)/, ""), `/v1${plain}`]
    .find((each) => routes.some(({ path }) => path.test(each)));
  return near === undefined
    ? undefined
    : `Did you mean ${printable(near, MAX_SHOWN_PATH)}?`;
}

/**
 * Refuses a change under a condition that cannot be looked at: without it the
 * change would be made, though its client has asked for it in a certain state.
 *
 * @throws {HttpError} With status 412.
 */
export function checkConditions(
  { method, headers }: Pick<IncomingMessage, "method" | "headers">,
): void {
  const given = ["if-match", "if-unmodified-since"].find((name) =>
    (headers[name] ?? "*") !== "*"
  );
  if (given === undefined) return;
  throw new HttpError(
    412,
    `Cannot ${method} under the condition of ${given}: the API has no entity ` +
      "tags and no times of modification",
    "Leave the header out",
  );
}

/**
 * Refuses a change that a web page asks for: a browser on the other end of a
 * forwarded socket sends what any page requests, and names that page.
 *
 * @throws {HttpError} With status 403.
 */
export function checkOrigin(
  { method, headers }: Pick<IncomingMessage, "method" | "headers">,
): void {
  const { origin } = headers;
  if (origin === undefined) return;
  throw new HttpError(
    403,
    `Cannot ${method} for the web page of ${printable(origin, MAX_SHOWN_PATH)}`,
    "gpioagg ui --change serves a page that may change lines",
  );
}

/**
 * Refuses what a route would ignore: a request must not seem to be answered as
 * it was written.
 *
 * @throws {HttpError} For a parameter that the route does not have, that is
 * empty, or that it has once and is given twice.
 */
export function checkParameters(
  query: URLSearchParams,
  known: QueryParameters,
): void {
  const seen = new Set<string>();
  for (const [key, value] of query) {
    if (!Object.hasOwn(known, key)) throw unknownParameter(key, known);
    if (value === "") {
      throw new HttpError(
        400,
        `${key} is empty`,
        "Leave it out, or give it a value",
      );
    }
    if (seen.has(key) && known[key] === "once") {
      throw new HttpError(400, `${key} is given twice`);
    }
    seen.add(key);
  }
}

function unknownParameter(key: string, known: QueryParameters): HttpError {
  const names = Object.keys(known);
  return new HttpError(
    400,
    `Unknown query parameter "${printable(key, 64)}"`,
    names.length === 0
      ? "This path has no query parameters"
      : keyHint(suggestedKey(key, names), names).replace("keys", "parameters"),
  );
}

/**
 * Returns the value of a parameter that is 1 or 0; false without it.
 *
 * @throws {HttpError} If it is something else.
 */
export function readFlag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name) ?? "0";
  if (value === "0" || value === "1") return value === "1";
  throw new HttpError(
    400,
    `"${printable(value, 64)}" is not a valid value of ${name}`,
    `Write ${name}=1, or leave it out`,
  );
}
