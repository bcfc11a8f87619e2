/**
 * Names for control sockets, so that `gpioagg sim plc0` finds the aggregator
 * plc0 wherever its socket is: links in the runtime directory.
 *
 * @module
 */
import { makeLinkAt } from "../../../ffi/directory.ts";
import { listDirectory } from "../../../ffi/directory_entries.ts";
import { fileStatus, statusAt } from "../../../ffi/file_status.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import {
  MACHINE_RUNTIME_DIRECTORY,
  openRuntimeDirectory,
  ownRuntimeDirectory,
} from "../../../ffi/runtime_directory.ts";
import {
  removeExactly,
  splitPath,
  UntrustedPathError,
} from "../../../ffi/trusted_path.ts";
import { defaultControlPath } from "../../config/specification.ts";
import { isServed } from "../sockets/listen_socket.ts";

/** The user's runtime directory, or the machine's. */
function runtimeDirectory(): string {
  return ownRuntimeDirectory().path ?? MACHINE_RUNTIME_DIRECTORY;
}

/** The control socket that is known by an aggregator's name. */
export function controlPathByName(
  name: string,
  directory: string = runtimeDirectory(),
): string {
  return `${directory}/gpioagg/${encodeURIComponent(name)}.control`;
}

/**
 * Paths at which a control socket of this name may be, the likeliest first: a
 * name that a service of this user or of root has made, or the path that the
 * systemd units give to sockets, where a service cannot make names.
 */
export function controlPathsByName(name: string): string[] {
  const file = defaultControlPath(`${encodeURIComponent(name)}.sock`);
  return [
    ...new Set([
      controlPathByName(name),
      controlPathByName(name, MACHINE_RUNTIME_DIRECTORY),
      `${MACHINE_RUNTIME_DIRECTORY}/gpioagg/vm/${file}`,
      `${MACHINE_RUNTIME_DIRECTORY}/gpioagg-${
        encodeURIComponent(name)
      }/${file}`,
    ]),
  ];
}

/** Ends of a name's link, and of a control socket beside a VMM's. */
const CONTROL_FILE = /^(.+?)(?:\.sock)?\.control$/;

/**
 * Returns the names of aggregators whose control sockets are there.
 *
 * @param directories Further directories in which services have sockets.
 */
export function controlledNames(directories: readonly string[]): string[] {
  return controlledNamesIn([
    `${runtimeDirectory()}/gpioagg`,
    `${MACHINE_RUNTIME_DIRECTORY}/gpioagg`,
    `${MACHINE_RUNTIME_DIRECTORY}/gpioagg/vm`,
    ...directories,
  ]);
}

/** Returns the names of aggregators with control sockets in these directories. */
function controlledNamesIn(directories: readonly string[]): string[] {
  return [...new Set(directories)].flatMap((place) => {
    try {
      return listDirectory(place)
        .filter((file) => fileStatus(`${place}/${file}`) !== undefined)
        .flatMap((file) => CONTROL_FILE.exec(file)?.[1] ?? [])
        .map(decodeURIComponent);
    } catch (error) {
      // Not there, another user's, or with files that are not ours.
      if (!isOsError(error) && !(error instanceof URIError)) throw error;
      return [];
    }
  });
}

/** A name that leads to a control socket while this object lives. */
export class ControlName implements Disposable {
  readonly #link: string;
  /** Distinguishes the link from one that another service has made since. */
  readonly #identity: string;

  private constructor(link: string, identity: string) {
    this.#link = link;
    this.#identity = identity;
  }

  /**
   * Makes `name` lead to the control socket at `controlPath`.
   *
   * A running service of the same name keeps it. A service that cannot make the
   * name, for any reason, runs without it: the socket's path still works.
   */
  static publish(
    name: string,
    controlPath: string,
    runtime?: string,
  ): ControlName | undefined {
    const link = controlPathByName(name, runtime);
    const { directory: path, name: file } = splitPath(link);
    try {
      using directory = openRuntimeDirectory(path, { make: true })!;
      const there = statusAt(directory, file);
      if (there !== undefined) {
        if (there.kind !== "symbolic link" || leadsToService(directory, file)) {
          return undefined;
        }
        removeExactly(directory, file, there.identity);
      }
      makeLinkAt(directory, file, absolute(controlPath));
      return new ControlName(link, statusAt(directory, file)!.identity);
    } catch (error) {
      // No permission, a read-only file system, no space, or another user's
      // directory.
      if (!isExpected(error)) throw error;
      return undefined;
    }
  }

  [Symbol.dispose](): void {
    const { directory: path, name } = splitPath(this.#link);
    try {
      using directory = openRuntimeDirectory(path);
      if (directory !== undefined) {
        removeExactly(directory, name, this.#identity);
      }
    } catch (error) {
      if (!isExpected(error)) throw error;
    }
  }
}

function isExpected(error: unknown): boolean {
  return isOsError(error) || error instanceof UntrustedPathError;
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}

function leadsToService(directory: OwnedFd, file: string): boolean {
  try {
    return isServed(`/proc/self/fd/${directory.fd}/${file}`);
  } catch (error) {
    // Also longer than a socket's path can be.
    if (!isOsError(error) && !(error instanceof RangeError)) throw error;
    return false;
  }
}
