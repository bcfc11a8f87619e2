/**
 * Sessions of an aggregator's adapters that go on in the next process, whatever
 * ended this one: their connections, and a memory file with their states.
 *
 * @module
 */
import { fdStatus } from "../../ffi/file_status.ts";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import {
  closeConnection,
  peekBytes,
  receiveBytes,
} from "../../ffi/socket_message.ts";
import { SessionKeeper } from "../peer/session_keeper.ts";
import type { SessionStore } from "../peer/session_store.ts";
import { type Saved, SavedReader } from "../usb/core/saved_state.ts";
import type { ResumedHost } from "./adapter_server.ts";
import type { AdapterJournal } from "./session.ts";
import {
  JOURNAL_BYTES,
  type LeftState,
  StateJournal,
} from "./state_journal.ts";

/** The form of what is kept; no other is read. */
const VERSION = 2;
/** Adapters that an aggregator may have. */
const MAX_ADAPTERS = 16_384;
/** Name of the memory file among the descriptors. */
const MEMORY = "memory";
/** Output of a session. **Units**: bytes. */
const MAX_OUTPUT = 128 * 1024;

/** Keeps sessions of adapters. **Ownership**: owns its places in the store. */
export class KeptAdapters implements Disposable {
  readonly #keeper: SessionKeeper;
  readonly #lines: readonly string[];
  readonly #count: number;
  /** Connections of sessions that are kept, by adapter. */
  readonly #kept = new Map<number, number>();
  #memory: { readonly fd: OwnedFd; readonly mapping: Mapping } | undefined;

  /**
   * Keeps in `store`.
   *
   * @param lines The lines as their guest knows them: with others it cannot go
   * on.
   * @param count Number of adapters.
   * @throws {OsError} If there are no descriptors for it.
   */
  constructor(store: SessionStore, lines: readonly string[], count: number) {
    this.#keeper = SessionKeeper.open(store);
    this.#lines = lines;
    this.#count = count;
  }

  /**
   * Returns the hosts that an earlier process has served, by their adapter.
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
    const left = new Map(kept.fds);
    try {
      const record = new SavedReader(kept.record);
      if (!record.isNumber("version", VERSION)) {
        throw new RangeError("its state is of another version");
      }
      record.integer("adapters", this.#count, this.#count);
      const lines = record.list("lines", this.#lines.length);
      if (lines.join("\n") !== this.#lines.join("\n")) {
        throw new RangeError("its guest knows other lines than there are now");
      }
      const memory = left.get(MEMORY);
      left.delete(MEMORY);
      if (memory === undefined) throw new RangeError("its state is missing");
      this.#adopt(memory);
      for (const [name, connection] of [...left]) {
        const index = Number(name);
        const isIndex = Number.isSafeInteger(index) && index >= 0 &&
          index < Math.min(this.#count, MAX_ADAPTERS);
        if (!isIndex) throw new RangeError("it is of an unknown adapter");
        const found = this.#journalAt(index).read();
        if (typeof found === "string") {
          this.#keeper.reportLost(found);
          continue;
        }
        const state = packState(found);
        takeOut(connection, found);
        left.delete(name);
        hosts.set(index, { connection, state });
        this.#kept.set(index, connection.fd);
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#keeper.reportLost(error.message);
      for (const [index, { connection }] of hosts) {
        left.set(String(index), connection);
      }
      hosts.clear();
      this.#kept.clear();
    }
    if (this.#kept.size === 0) this.#keeper.clear({ isHeld: true });
    for (const fd of left.values()) closeConnection(fd);
    return hosts;
  }

  /** Takes the memory of an earlier process over. **Ownership**: of the fd. */
  #adopt(fd: OwnedFd): void {
    const length = this.#count * JOURNAL_BYTES;
    try {
      if (fdStatus(fd.fd).size !== length) {
        throw new RangeError("its state is of another size");
      }
      const mapping = Mapping.map(fd.fd, { length, subject: "kept adapters" });
      this.#memory = { fd, mapping };
    } finally {
      if (this.#memory === undefined) fd.close();
    }
  }

  /**
   * Returns where the session of an adapter is kept.
   *
   * @throws {OsError} If there is no memory for it.
   */
  journal(index: number): AdapterJournal {
    const journal = this.#journalAt(index);
    let isRefused = false;
    return {
      write: (connection, state, first, taken) => {
        if (isRefused) return;
        if (!journal.write(state, first, taken)) {
          isRefused = true;
          this.#keeper.report("its state is too long");
          return this.#over(index);
        }
        if (this.#kept.get(index) === connection.fd) return;
        this.#kept.set(index, connection.fd);
        this.#keep();
      },
      tookOut: () => journal.tookOut(),
      sent: (count) => journal.sent(count),
      over: () => {
        isRefused = false;
        journal.clear();
        this.#over(index);
      },
    };
  }

  #journalAt(index: number): StateJournal {
    if (this.#memory === undefined) {
      const length = this.#count * JOURNAL_BYTES;
      const fd = createMemFd("kept adapters", length, { seal: true });
      try {
        const mapping = Mapping.map(fd.fd, {
          length,
          subject: "kept adapters",
        });
        this.#memory = { fd, mapping };
      } finally {
        if (this.#memory === undefined) fd.close();
      }
    }
    return new StateJournal(
      this.#memory.mapping.buffer,
      index * JOURNAL_BYTES,
    );
  }

  #over(index: number): void {
    if (!this.#kept.delete(index)) return;
    if (this.#kept.size > 0) this.#keep();
    else this.#keeper.clear({ isHeld: true });
  }

  #keep(): void {
    const fds = new Map([...this.#kept].map(([index, fd]) => [
      String(index),
      fd,
    ]));
    fds.set(MEMORY, this.#memory!.fd.fd);
    const fault = this.#keeper.keep(
      { version: VERSION, lines: this.#lines, adapters: this.#count },
      fds,
    );
    if (fault !== undefined) this.#keeper.report(fault);
  }

  /** Keeps nothing any more. Idempotent. */
  [Symbol.dispose](): void {
    this.#keeper[Symbol.dispose]();
    this.#memory?.mapping[Symbol.dispose]();
    this.#memory?.fd.close();
    this.#memory = undefined;
  }
}

/** Returns the state without the output that is sent. */
function packState({ state, sent }: LeftState): Saved {
  const output = new SavedReader(state).bytes("output", MAX_OUTPUT);
  return { ...state, output: output.subarray(sent).toBase64() };
}

/**
 * Takes messages out of the connection that were served, if they are there
 * still. Messages have numbers: no other begins as they do.
 */
function takeOut(
  { fd }: OwnedFd,
  { first, taken }: LeftState,
): void {
  if (taken === 0) return;
  try {
    const begun = new Uint8Array(first.length);
    const count = peekBytes(fd, begun);
    const isThere = count === first.length &&
      first.every((byte, i) => byte === begun[i]);
    if (!isThere) return;
    const rest = new Uint8Array(4096);
    for (let left = taken; left > 0;) {
      const some = receiveBytes(fd, rest.subarray(0, left));
      if (some <= 0) return;
      left -= some;
    }
  } catch (error) {
    // The session finds the same.
    if (!isOsError(error)) throw error;
  }
}
