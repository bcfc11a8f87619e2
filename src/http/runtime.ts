/**
 * The oldest runtime on which `node:http` serves connections that are accepted
 * here. The control API, its clients and the page are built on that.
 *
 * @module
 */

/** The first Deno with `new net.Socket({ fd })`, which serves any stream. */
export const API_SINCE = "2.7.14";

/** Returns true if the control API works on a version of Deno. */
export function hasApi(deno: string): boolean {
  return deno.localeCompare(API_SINCE, "en", { numeric: true }) >= 0;
}

/** The runtime is too old for the control API. */
class RuntimeError extends Error {
  override readonly name = "RuntimeError";
  /** One line that says what to do. */
  readonly hint: string;

  constructor(deno: string, isExecutable: boolean) {
    super(
      `The control API needs Deno ${API_SINCE} or newer, and ` +
        (isExecutable
          ? `this executable was compiled with Deno ${deno}`
          : `this is Deno ${deno}`),
    );
    this.hint = isExecutable
      ? "Use a released executable, or compile one with a newer Deno: " +
        "deno task compile"
      : "Install a newer Deno: npm install -g deno";
  }
}

/**
 * Checks that this runtime has what the control API is built on.
 *
 * @throws {RuntimeError} If it is too old.
 */
export function checkHttpRuntime(
  deno: string = Deno.version.deno,
  isExecutable: boolean = Deno.build.standalone,
): void {
  if (!hasApi(deno)) throw new RuntimeError(deno, isExecutable);
}
