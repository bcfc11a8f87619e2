/**
 * Finding the control socket of an aggregator by its name.
 *
 * @module
 */
import { fileStatus } from "../../ffi/file_status.ts";
import { serviceDirectories } from "../client/services.ts";
import { defaultControlPath } from "../config/specification.ts";
import { controlPathsByName } from "../service/control/control_names.ts";

/**
 * Returns the paths at which the control socket of an aggregator of any service
 * may be, the likeliest first.
 */
function places(name: string): string[] {
  const file = defaultControlPath(`${encodeURIComponent(name)}.sock`);
  return [
    ...controlPathsByName(name),
    // Finds an aggregator of any service, whatever the service's name.
    ...serviceDirectories().map((directory) => `${directory}/${file}`),
  ];
}

/** Returns the control socket of this name; undefined if there is none. */
export function findControlSocket(name: string): string | undefined {
  return places(name).find((path) => fileStatus(path) !== undefined);
}

/** Returns the path at which the control socket of this name would be. */
export function usualControlPath(name: string): string {
  return places(name)[0]!;
}
