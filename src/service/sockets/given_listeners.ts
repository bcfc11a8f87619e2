/**
 * Listening sockets that a service manager passed. Each belongs to its
 * aggregator for as long as the service runs, however often that one is made
 * anew.
 *
 * @module
 */
import { duplicate } from "../../../ffi/files.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import {
  isListening,
  socketPath,
  streamSocketProblem,
} from "../../../ffi/unix_socket.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import type { AggregatorSpecification } from "../../config/specification.ts";

/**
 * Listening sockets of a service manager. **Ownership**: of all that it is
 * given.
 */
export class GivenListeners implements Disposable {
  readonly #listeners: ReadonlyMap<string, OwnedFd>;
  readonly #used = new Set<string>();

  /** Begins with all of them, by name. */
  constructor(listeners: ReadonlyMap<string, OwnedFd>) {
    this.#listeners = listeners;
  }

  /**
   * Returns the socket of this name. **Ownership**: the caller's; it is a copy.
   *
   * @throws {ConfigError} If it is not a listening unix stream socket. Of other
   * kinds the kernel does not identify the client, and the file system does not
   * check permissions.
   */
  copy(name: string): OwnedFd | undefined {
    const listener = this.#listeners.get(name);
    if (listener === undefined || listener.closed) return undefined;
    const problem = findProblem(listener);
    if (problem !== undefined) {
      throw new ConfigError(
        `Cannot serve the socket that the service manager calls ${name}: ` +
          problem,
        { hint: "Give its socket unit a ListenStream= that is a path" },
      );
    }
    this.#used.add(name);
    return duplicate(listener.fd);
  }

  /**
   * Returns an aggregator with the socket of its name in place of its
   * vhost-user socket, if it has one and such a socket was passed.
   *
   * **Ownership**: the fd in it goes to its next holder.
   */
  withInheritedSocket(
    aggregator: AggregatorSpecification,
  ): AggregatorSpecification {
    if (aggregator.vhostUser === undefined) return aggregator;
    const listener = this.copy(aggregator.name);
    return listener === undefined
      ? aggregator
      : { ...aggregator, vhostUser: { fd: listener.release() } };
  }

  /**
   * Closes those that were not used so far: a client that connects there would
   * wait for an answer for ever.
   *
   * @returns A message for each.
   */
  closeUnused(): string[] {
    return [...this.#listeners].filter(([name]) => !this.#used.has(name))
      .map(([name, listener]) => {
        const path = findPath(listener) ?? "a socket";
        listener.close();
        if (name === "api" || name === "api-look") {
          return `no control API is served at ${path}, which the service ` +
            `manager listens at by the name ${name}: --${name} is missing ` +
            "(or api: in the configuration file)";
        }
        return `no aggregator is served at ${path}, which the service manager ` +
          `listens at by the name ${name}: call it api, api-look, or as an ` +
          `aggregator with a vhost-user socket (FileDescriptorName=)`;
      });
  }

  [Symbol.dispose](): void {
    for (const listener of this.#listeners.values()) listener.close();
  }
}

/** Returns the reason why a passed fd cannot be listened at. */
function findProblem({ fd }: OwnedFd): string | undefined {
  try {
    return streamSocketProblem(fd) ??
      (isListening(fd) ? undefined : "it does not listen");
  } catch (error) {
    if (!isOsError(error)) throw error;
    return `it is not a socket (${error.code})`;
  }
}

/** A fd that is not for us may be of any kind. */
function findPath({ fd }: OwnedFd): string | undefined {
  try {
    return socketPath(fd);
  } catch {
    return undefined;
  }
}
