/**
 * A listener's slots for connections, shared fairly among users: other users,
 * root and the service's own user get in, however many connections one user
 * holds.
 *
 * @module
 */

/** Limits of a listener. **Units**: connections. */
interface SlotLimits {
  /** All connections together. */
  all: number;
  /** Number reserved for root and the service's own user. */
  reserved: number;
  /** Most that any other user may hold. */
  perUser: number;
}

/** Reserved for root and the service's own user, but at most a quarter. */
const MAX_RESERVED = 16;

/** Returns the limits of a listener that may have `all` connections. */
export function slotLimits(all: number): SlotLimits {
  const reserved = Math.min(MAX_RESERVED, Math.floor(all / 4));
  return {
    all,
    reserved,
    perUser: Math.max(1, Math.floor((all - reserved) / 2)),
  };
}

/** Properties of connections and users by which slots are given. */
interface SlotRules<Connection> {
  limits: SlotLimits;
  /** True for root and the service's own user. */
  isPrivileged(uid: number): boolean;
  /**
   * Returns 0 for a connection that must not be ended for another one, else its
   * rank: the highest is ended first, and of these the oldest.
   */
  rank(connection: Connection): number;
}

/** Decision about a new connection. */
interface Admission<Connection> {
  isAdmitted: boolean;
  /** Connection that lost its slot to the new one; the caller ends it. */
  displaced: Connection | undefined;
}

/** Connections of one listener, by user. */
export class ConnectionSlots<Connection> {
  readonly #rules: SlotRules<Connection>;
  /** Each user's connections, oldest first. */
  readonly #byUser = new Map<number, Set<Connection>>();
  readonly #users = new Map<Connection, number>();
  #privileged = 0;

  /** Starts without connections. */
  constructor(rules: SlotRules<Connection>) {
    this.#rules = rules;
  }

  /** Number of connections that have a slot. */
  get size(): number {
    return this.#users.size;
  }

  /** Gives a new connection a slot, if necessary that of an idle one. */
  admit(connection: Connection, uid: number): Admission<Connection> {
    let displaced: Connection | undefined;
    if (!this.#hasRoom(uid)) {
      displaced = this.#victimFor(uid);
      if (displaced === undefined) return { isAdmitted: false, displaced };
      this.release(displaced);
    }
    let own = this.#byUser.get(uid);
    if (own === undefined) this.#byUser.set(uid, own = new Set());
    own.add(connection);
    this.#users.set(connection, uid);
    if (this.#rules.isPrivileged(uid)) this.#privileged++;
    return { isAdmitted: true, displaced };
  }

  /** Frees the slot of a connection. Idempotent. */
  release(connection: Connection): void {
    const uid = this.#users.get(connection);
    if (uid === undefined) return;
    this.#users.delete(connection);
    const own = this.#byUser.get(uid)!;
    own.delete(connection);
    if (own.size === 0) this.#byUser.delete(uid);
    if (this.#rules.isPrivileged(uid)) this.#privileged--;
  }

  /**
   * Frees the slot of an idle connection of the user that has the most, and
   * returns it; undefined if none has at least this rank.
   */
  displaceOne(minRank: number): Connection | undefined {
    const victim = this.#firstIdle(this.#largestFirst(), minRank);
    if (victim !== undefined) this.release(victim);
    return victim;
  }

  #hasRoom(uid: number): boolean {
    const { all, reserved, perUser } = this.#rules.limits;
    if (this.#rules.isPrivileged(uid)) return this.size < all;
    const unused = Math.max(0, reserved - this.#privileged);
    return this.size < all - unused && this.#countPlaces(uid) < perUser;
  }

  #victimFor(uid: number): Connection | undefined {
    const count = this.#countPlaces(uid);
    const isPrivileged = this.#rules.isPrivileged(uid);
    if (!isPrivileged && count >= this.#rules.limits.perUser) {
      return this.#firstIdle([uid]);
    }
    return this.#firstIdle(
      this.#largestFirst().filter((other) =>
        other === uid || this.#countPlaces(other) > count ||
        isPrivileged && !this.#rules.isPrivileged(other)
      ),
    );
  }

  #countPlaces(uid: number): number {
    return this.#byUser.get(uid)?.size ?? 0;
  }

  #largestFirst(): number[] {
    return [...this.#byUser.keys()]
      .sort((a, b) => this.#countPlaces(b) - this.#countPlaces(a));
  }

  #firstIdle(uids: readonly number[], minRank = 1): Connection | undefined {
    for (const uid of uids) {
      let found: Connection | undefined;
      let highest = minRank - 1;
      for (const connection of this.#byUser.get(uid) ?? []) {
        const rank = this.#rules.rank(connection);
        if (rank <= highest) continue;
        found = connection;
        highest = rank;
      }
      if (found !== undefined) return found;
    }
    return undefined;
  }
}
