/**
 * Sessions of an aggregator's adapters that go on in the next process.
 *
 * They are kept when this process is told to end, and never before: a process
 * that is killed leaves none, and its hosts connect again.
 *
 * @module
 */
import { SessionKeeper } from "../peer/session_keeper.ts";
import type { SessionStore } from "../peer/session_store.ts";
import { type Saved, SavedReader } from "../usb/core/saved_state.ts";
import type { AdapterSocket, ResumedHost } from "./adapter_server.ts";

/** The form of what is kept; no other is read. */
const VERSION = 1;
/** Adapters that an aggregator may have. */
const MAX_ADAPTERS = 16_384;

/** Keeps sessions of adapters. **Ownership**: owns its places in the store. */
export class KeptAdapters implements Disposable {
  readonly #keeper: SessionKeeper;
  readonly #lines: readonly string[];

  /**
   * Keeps in `store`.
   *
   * @param lines The lines as their guest knows them: with others it cannot go
   * on.
   * @throws {OsError} If there are no descriptors for it.
   */
  constructor(store: SessionStore, lines: readonly string[]) {
    this.#keeper = SessionKeeper.open(store);
    this.#lines = lines;
  }

  /**
   * Returns the hosts that an earlier process has served, by their adapter. They
   * are kept no longer: a state is good for one process.
   *
   * **Ownership**: of the connections, the caller's.
   */
  take(): Map<number, ResumedHost> {
    const hosts = new Map<number, ResumedHost>();
    const kept = this.#keeper.look();
    if (kept === undefined) return hosts;
    if (typeof kept === "string") {
      this.#keeper.reportLost(kept);
      return hosts;
    }
    this.#keeper.clear({ isHeld: true });
    const left = new Map(kept.fds);
    try {
      const record = new SavedReader(kept.record);
      record.integer("version", VERSION, VERSION);
      const lines = record.list("lines", this.#lines.length);
      if (lines.join("\n") !== this.#lines.join("\n")) {
        throw new RangeError("its guest knows other lines than there are now");
      }
      for (const item of record.list("adapters", MAX_ADAPTERS)) {
        const index = new SavedReader(item).integer("index", 0, MAX_ADAPTERS);
        const connection = left.get(String(index));
        if (connection === undefined) throw new RangeError("one is missing");
        left.delete(String(index));
        hosts.set(index, { connection, state: (item as Saved)["state"] });
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#keeper.reportLost(error.message);
      for (const { connection } of hosts.values()) connection.close();
      hosts.clear();
    }
    for (const fd of left.values()) fd.close();
    return hosts;
  }

  /** Keeps the sessions of all adapters that have one. */
  keep(sockets: readonly AdapterSocket[]): void {
    const fds = new Map<string, number>();
    const adapters: Saved[] = [];
    for (const [index, socket] of sockets.entries()) {
      const saved = socket.save();
      if (saved === undefined) continue;
      fds.set(String(index), saved.connection.fd);
      adapters.push({ index, state: saved.state });
    }
    if (adapters.length === 0) return;
    const fault = this.#keeper.keep(
      { version: VERSION, lines: this.#lines, adapters },
      fds,
    );
    if (fault !== undefined) this.#keeper.report(fault);
  }

  /** Keeps nothing any more. Idempotent. */
  [Symbol.dispose](): void {
    this.#keeper[Symbol.dispose]();
  }
}
