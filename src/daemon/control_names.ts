/**
 * Names for control sockets, so that `gpioagg sim plc0` finds the aggregator
 * plc0 wherever its socket is: links in the runtime directory.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import { controlPathOf } from "../config/specification.ts";
import { isServed } from "./listen_socket.ts";

const MACHINE_DIRECTORY = "/run";

/** The user's runtime directory, or the machine's. */
function runtimeDirectory(): string {
  return Deno.env.get("XDG_RUNTIME_DIR") || MACHINE_DIRECTORY;
}

/** The control socket that is known by an aggregator's name. */
export function controlPathByName(
  name: string,
  directory: string = runtimeDirectory(),
): string {
  return `${directory}/gpioagg/${encodeURIComponent(name)}.control`;
}

/**
 * Where a control socket of this name may be, the likeliest first: a name that
 * a service of this user or of root has made, or the place that the systemd
 * units give to sockets, where a service can make no names.
 */
export function controlPathsByName(name: string): string[] {
  const file = controlPathOf(`${encodeURIComponent(name)}.sock`);
  return [
    ...new Set([
      controlPathByName(name),
      controlPathByName(name, MACHINE_DIRECTORY),
      `${MACHINE_DIRECTORY}/gpioagg/vm/${file}`,
      `${MACHINE_DIRECTORY}/gpioagg-${encodeURIComponent(name)}/${file}`,
    ]),
  ];
}

/** A name that leads to a control socket while this object lives. */
export class ControlName implements Disposable {
  readonly #link: string;
  readonly #target: string;

  private constructor(link: string, target: string) {
    this.#link = link;
    this.#target = target;
  }

  /**
   * Makes `name` lead to the control socket at `controlPath`.
   *
   * A living service of the same name keeps it; one that cannot make it goes
   * without, whatever the reason: the socket's path does as well.
   */
  static publish(
    name: string,
    controlPath: string,
    directory?: string,
  ): ControlName | undefined {
    const link = controlPathByName(name, directory);
    const target = absolute(controlPath);
    try {
      Deno.mkdirSync(link.slice(0, link.lastIndexOf("/")), { recursive: true });
      if (leadsToService(link)) return undefined;
      if (readLink(link) !== undefined) Deno.removeSync(link);
      Deno.symlinkSync(target, link);
      return new ControlName(link, target);
    } catch (error) {
      // No right to, a read-only file system, or no room.
      if (error instanceof TypeError) throw error;
      return undefined;
    }
  }

  [Symbol.dispose](): void {
    if (readLink(this.#link) === this.#target) Deno.removeSync(this.#link);
  }
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}

function readLink(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function leadsToService(link: string): boolean {
  try {
    return isServed(link);
  } catch (error) {
    if (!isOsError(error)) throw error;
    return false;
  }
}
