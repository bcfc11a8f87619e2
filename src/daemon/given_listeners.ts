/**
 * Sockets that a service manager listens at for us: each is its aggregator's for
 * as long as the service runs, however often that one is made anew.
 *
 * @module
 */
import { duplicate } from "../../ffi/files.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { socketPath } from "../../ffi/unix_socket.ts";
import type { AggregatorSpecification } from "../config/specification.ts";

/** What a service manager listens at. **Ownership**: of all that it is given. */
export class GivenListeners implements Disposable {
  readonly #listeners: ReadonlyMap<string, OwnedFd>;
  readonly #used = new Set<string>();

  /** Begins with all of them, by name. */
  constructor(listeners: ReadonlyMap<string, OwnedFd>) {
    this.#listeners = listeners;
  }

  /** The socket of this name. **Ownership**: the caller's; it is a copy. */
  copy(name: string): OwnedFd | undefined {
    const listener = this.#listeners.get(name);
    if (listener === undefined || listener.closed) return undefined;
    this.#used.add(name);
    return duplicate(listener.fd);
  }

  /**
   * An aggregator with the socket of its name in place of its vhost-user socket,
   * if there is one and it has such a socket.
   *
   * **Ownership**: the fd in it is whoever's it is given to.
   */
  equip(aggregator: AggregatorSpecification): AggregatorSpecification {
    if (aggregator.vhostUser === undefined) return aggregator;
    const listener = this.copy(aggregator.name);
    return listener === undefined
      ? aggregator
      : { ...aggregator, vhostUser: { fd: listener.release() } };
  }

  /**
   * Closes those that nobody wanted so far: whoever connects there would wait
   * for an answer for ever.
   *
   * @returns What is to be said of each.
   */
  closeUnused(): string[] {
    return [...this.#listeners].filter(([name]) => !this.#used.has(name))
      .map(([name, listener]) => {
        const path = pathOf(listener);
        listener.close();
        return `nobody serves ${
          path ?? "a socket"
        }, which the service manager ` +
          `listens at by the name ${name}: call it api, api-look, or as an ` +
          `aggregator with a vhost-user socket (FileDescriptorName=)`;
      });
  }

  [Symbol.dispose](): void {
    for (const listener of this.#listeners.values()) listener.close();
  }
}

/** Whatever a manager hands over that is none of ours may be no socket. */
function pathOf({ fd }: OwnedFd): string | undefined {
  try {
    return socketPath(fd);
  } catch {
    return undefined;
  }
}
