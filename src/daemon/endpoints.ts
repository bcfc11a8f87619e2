/**
 * Sockets that the aggregators of one service stand at. Each serves one of
 * them: a second listener has no place there, and QEMU's own sockets take one
 * client at a time.
 *
 * @module
 */
import { realPath } from "../../ffi/files.ts";
import type { AggregatorSpecification } from "../config/specification.ts";

/** Who has which socket. */
export class Endpoints {
  /** Path without links to the aggregator's name. */
  readonly #owners = new Map<string, string>();

  /**
   * Has the sockets of `aggregators` for them: all of them, or none.
   *
   * @returns What gives them up again, when it is disposed.
   * @throws {Error} If one is taken.
   */
  claim(aggregators: readonly AggregatorSpecification[]): DisposableStack {
    using claimed = new DisposableStack();
    for (const aggregator of aggregators) {
      for (const path of pathsOf(aggregator)) {
        const place = placeOf(path);
        const owner = this.#owners.get(place);
        if (owner !== undefined) {
          throw new Error(
            `Cannot present ${aggregator.name} at ${path}: ${owner} is there ` +
              `already, and a socket serves one aggregator`,
          );
        }
        claimed.defer(() => this.#owners.delete(place));
        this.#owners.set(place, aggregator.name);
      }
    }
    return claimed.move();
  }

  /** Gives up what the aggregator of this name has. */
  release(name: string): void {
    for (const [place, owner] of this.#owners) {
      if (owner === name) this.#owners.delete(place);
    }
  }
}

function pathsOf(
  { vhostUser, qemuPins }: AggregatorSpecification,
): readonly string[] {
  if (qemuPins !== undefined) return [qemuPins.qtest, qemuPins.qmp];
  return vhostUser === undefined || "fd" in vhostUser
    ? []
    : [vhostUser.socketPath];
}

/** The path without links, as far as it is there by now. */
function placeOf(path: string): string {
  try {
    const whole = realPath(path);
    if (whole !== undefined) return whole;
    const slash = path.lastIndexOf("/");
    const directory = realPath(path.slice(0, Math.max(slash, 0)) || "/");
    return `${directory ?? path.slice(0, slash)}/${path.slice(slash + 1)}`;
  } catch {
    // One that may not be looked at, which whoever opens it will hear of.
    return path;
  }
}
