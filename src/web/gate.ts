/**
 * Decides which requests of browsers are served.
 *
 * A listener on the loopback interface is reached by every program of the host
 * and, through its browser, by every page that a user opens. Therefore:
 *
 * - The name of the host must be a loopback one: a page whose own name was made
 *   to mean 127.0.0.1 sends that name.
 * - A request that a page of another origin makes is refused.
 * - Everything but the page's own files needs the token, which is in the address
 *   that the command prints; the browser keeps it as a cookie.
 *
 * @module
 */
import { timingSafeEqual } from "node:crypto";

/** Head of a request, as far as it matters here. */
interface RequestHead {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** Why a request is refused. */
interface Refused {
  readonly status: 401 | 403 | 421;
  readonly message: string;
}

const HOSTS = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::(\d{1,5}))?$/i;
/** Port that a name without one means. */
const HTTP_PORT = "80";

/** Checks requests against one token. */
export class Gate {
  readonly #token: Uint8Array;

  /** @param token Secret of the listener. */
  constructor(token: string) {
    this.#token = new TextEncoder().encode(token);
  }

  /** Returns why a request for the page's own files is refused, if it is. */
  refusePage(head: RequestHead): Refused | undefined {
    const host = one(head, "host");
    if (!HOSTS.test(host)) {
      return {
        status: 421,
        message: "This is served on the loopback interface only: open it as " +
          "localhost or 127.0.0.1",
      };
    }
    const origin = one(head, "origin");
    const isForeign = origin !== "" &&
      origin.toLowerCase() !== `http://${host.toLowerCase()}`;
    if (isForeign) {
      return { status: 403, message: "Requests of other pages are refused" };
    }
    return undefined;
  }

  /** Returns why a request for anything else is refused, if it is. */
  refuse(head: RequestHead): Refused | undefined {
    const refused = this.refusePage(head);
    if (refused !== undefined) return refused;
    const site = one(head, "sec-fetch-site");
    if (site !== "" && site !== "same-origin" && site !== "none") {
      return { status: 403, message: "Requests of other pages are refused" };
    }
    return this.isToken(extractToken(head)) ? undefined : {
      status: 401,
      message: "The token is missing or wrong: open the address that gpioagg " +
        "ui has printed",
    };
  }

  /** Returns true for the token. Takes as long for every text of a length. */
  isToken(text: string): boolean {
    const bytes = new TextEncoder().encode(text);
    return bytes.length === this.#token.length &&
      timingSafeEqual(bytes, this.#token);
  }

  /** Returns the header that has a browser keep the token. */
  cookie(head: RequestHead, token: string): string {
    return `${cookieName(head)}=${token}; Path=/; HttpOnly; SameSite=Strict`;
  }
}

/** Makes a token. */
export function newToken(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Browsers have one set of cookies for all ports of a host. */
function cookieName(head: RequestHead): string {
  const port = HOSTS.exec(one(head, "host"))?.[1] ?? HTTP_PORT;
  return `gpioagg-${port}`;
}

function extractToken(head: RequestHead): string {
  const bearer = /^Bearer (\S+)$/.exec(one(head, "authorization"))?.[1];
  if (bearer !== undefined) return bearer;
  const name = cookieName(head);
  for (const pair of one(head, "cookie").split(";")) {
    const equals = pair.indexOf("=");
    if (pair.slice(0, equals).trim() === name) {
      return pair.slice(equals + 1).trim();
    }
  }
  return "";
}

/** Returns a header; empty if there is none, or several that differ in nothing. */
function one({ headers }: RequestHead, name: string): string {
  const value = headers[name];
  return typeof value === "string" ? value : "";
}
