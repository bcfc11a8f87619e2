/**
 * Sockets of one service's aggregators. Each serves one of them: a second
 * listener cannot have the path, and QEMU's own sockets accept one client at a
 * time.
 *
 * @module
 */
import { realPath } from "../../../ffi/files.ts";
import {
  type AggregatorSpecification,
  usbredirSockets,
} from "../../config/specification.ts";

/** Owners of the sockets. */
export class Endpoints {
  /** Path without links to the aggregator's name. */
  readonly #owners = new Map<string, string>();

  /**
   * Reserves the sockets of `aggregators`: all of them, or none.
   *
   * @returns An object that releases them when it is disposed.
   * @throws {Error} If one is taken.
   */
  claim(aggregators: readonly AggregatorSpecification[]): DisposableStack {
    using claimed = new DisposableStack();
    for (const aggregator of aggregators) {
      for (const path of socketPaths(aggregator)) {
        const resolved = resolvedPath(path);
        const owner = this.#owners.get(resolved);
        if (owner !== undefined) {
          throw new Error(
            `Cannot present ${aggregator.name} at ${path}: ${owner} is there ` +
              `already, and a socket serves one aggregator`,
          );
        }
        claimed.defer(() => this.#owners.delete(resolved));
        this.#owners.set(resolved, aggregator.name);
      }
    }
    return claimed.move();
  }

  /** Releases the sockets of the aggregator of this name. */
  release(name: string): void {
    for (const [resolved, owner] of this.#owners) {
      if (owner === name) this.#owners.delete(resolved);
    }
  }
}

function socketPaths(
  { vhostUser, qemuPins, vfioUser, usbredir, lines }: AggregatorSpecification,
): readonly string[] {
  if (qemuPins !== undefined) return [qemuPins.qtest, qemuPins.qmp];
  if (vfioUser !== undefined) return [vfioUser.socketPath];
  if (usbredir !== undefined) return usbredirSockets(usbredir, lines.length);
  return vhostUser === undefined || "fd" in vhostUser
    ? []
    : [vhostUser.socketPath];
}

/** Returns the path without links, as far as it exists. */
function resolvedPath(path: string): string {
  try {
    const whole = realPath(path);
    if (whole !== undefined) return whole;
    const slash = path.lastIndexOf("/");
    const directory = realPath(path.slice(0, Math.max(slash, 0)) || "/");
    return `${directory ?? path.slice(0, slash)}/${path.slice(slash + 1)}`;
  } catch {
    // A path without permission is reported when it is opened.
    return path;
  }
}
