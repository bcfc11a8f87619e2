/**
 * Room for what clients create: their aggregators share the memory, the threads
 * and the fate of the service's own.
 *
 * @module
 */
import { HttpError } from "../requests/messages.ts";

/** Lines of all clients' aggregators together, some 4 KB each. */
export const MAX_CLIENT_LINES = 65_536;
/** Processes of all clients' aggregators together, with 8 threads each. */
export const MAX_CLIENT_PROCESSES = 32;

/** Size of an aggregator. */
interface CreationSize {
  readonly lines: number;
  /** True if it has a process of its own. */
  readonly isIsolated: boolean;
}

/** Counts what clients have. */
export class CreationRoom {
  #lines = 0;
  #processes = 0;

  /**
   * Takes room until what is returned is disposed of.
   *
   * @throws {HttpError} If there is too little left.
   */
  take(size: CreationSize): Disposable {
    if (this.#lines + size.lines > MAX_CLIENT_LINES) {
      throw full(`${MAX_CLIENT_LINES} lines`, `${this.#lines}`);
    }
    if (size.isIsolated && this.#processes === MAX_CLIENT_PROCESSES) {
      throw full(`${MAX_CLIENT_PROCESSES} processes`, `${this.#processes}`);
    }
    return this.keep(size);
  }

  /** The same for what is there already, from before a restart. */
  keep({ lines, isIsolated }: CreationSize): Disposable {
    const processes = isIsolated ? 1 : 0;
    this.#lines += lines;
    this.#processes += processes;
    let isTaken = true;
    return {
      [Symbol.dispose]: () => {
        if (!isTaken) return;
        isTaken = false;
        this.#lines -= lines;
        this.#processes -= processes;
      },
    };
  }
}

function full(most: string, used: string): HttpError {
  return new HttpError(
    409,
    `Clients of this service can have ${most} together, and have ${used}`,
    "Remove aggregators that are not needed, or put some into the service's " +
      "configuration",
  );
}
