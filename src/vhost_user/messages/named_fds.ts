/**
 * Names of descriptors that a session gets and does not hold: those of memory,
 * which is mapped. They are at hand from the message that brings them until the
 * session is kept, and from then on among what is kept.
 *
 * @module
 */

/** Names, and descriptors of the message that is served. */
export class NamedFds {
  #next: number;
  readonly #brought = new Map<string, number>();

  /** Begins with the first number that no name has. */
  constructor(next = 0) {
    this.#next = next;
  }

  /** Returns the number behind all those in names of an earlier process. */
  static after(names: Iterable<string>): NamedFds {
    let next = 0;
    for (const name of names) {
      const number = Number(/\d+$/.exec(name)?.[0] ?? -1);
      if (Number.isSafeInteger(number)) next = Math.max(next, number + 1);
    }
    return new NamedFds(next);
  }

  /** Names a descriptor that a message brings. **Ownership**: lent. */
  bring(kind: "memory" | "inflight", fd: number): string {
    const name = `${kind}${this.#next++}`;
    this.#brought.set(name, fd);
    return name;
  }

  /** Descriptor of this name if the message brought it, or else undefined. */
  findFd(name: string): number | undefined {
    return this.#brought.get(name);
  }

  /** The message is served: its descriptors are about to be closed. */
  forget(): void {
    this.#brought.clear();
  }
}
