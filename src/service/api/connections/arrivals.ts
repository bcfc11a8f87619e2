/**
 * Accepted connections that wait for their first request to be read, in turns
 * of users and of their processes: a process that connects without end delays
 * its own connections alone.
 *
 * @module
 */

/** The other end of a connection. */
interface Arrival {
  readonly uid: number;
  readonly pid: number;
}

/** Connections that wait, oldest of each process first. */
export class Arrivals<Connection> {
  readonly #max: number;
  /** By user, by process; the first ones are next. */
  readonly #users = new Map<number, Map<number, Connection[]>>();
  #size = 0;

  /** Limits the connections that wait. */
  constructor(max: number) {
    this.#max = max;
  }

  /** Number of connections that wait. */
  get size(): number {
    return this.#size;
  }

  /**
   * Puts a connection in line.
   *
   * @returns The connection that has no room any more, if there are too many:
   * the newest of the process that has most, of the user that has most.
   */
  add(connection: Connection, { uid, pid }: Arrival): Connection | undefined {
    let processes = this.#users.get(uid);
    if (processes === undefined) this.#users.set(uid, processes = new Map());
    const queue = processes.get(pid);
    if (queue === undefined) processes.set(pid, [connection]);
    else queue.push(connection);
    this.#size++;
    return this.#size > this.#max ? this.#removeSurplus() : undefined;
  }

  /** Returns the next connection, which waits no more; undefined if none does. */
  take(): Connection | undefined {
    const [user] = this.#users;
    if (user === undefined) return undefined;
    const [uid, processes] = user;
    const [[pid, queue]] = processes as unknown as [[number, Connection[]]];
    const connection = queue.shift();
    this.#size--;
    // Both go to the end of their rows.
    processes.delete(pid);
    if (queue.length > 0) processes.set(pid, queue);
    this.#users.delete(uid);
    if (processes.size > 0) this.#users.set(uid, processes);
    return connection;
  }

  #removeSurplus(): Connection | undefined {
    const [uid, processes] = largest(this.#users, countQueued);
    const [pid, queue] = largest(processes, ({ length }) => length);
    const connection = queue.pop();
    this.#size--;
    if (queue.length > 0) return connection;
    processes.delete(pid);
    if (processes.size === 0) this.#users.delete(uid);
    return connection;
  }
}

function countQueued(
  processes: ReadonlyMap<number, readonly unknown[]>,
): number {
  let count = 0;
  for (const { length } of processes.values()) count += length;
  return count;
}

/** The entry of a map, which is not empty, with the largest count. */
function largest<Key, Value>(
  map: ReadonlyMap<Key, Value>,
  count: (value: Value) => number,
): [Key, Value] {
  let found: [Key, Value] | undefined;
  let most = -1;
  for (const entry of map) {
    const own = count(entry[1]);
    if (own <= most) continue;
    most = own;
    found = entry;
  }
  return found!;
}
