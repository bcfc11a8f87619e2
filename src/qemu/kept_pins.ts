/**
 * A session with a QEMU that goes on in the next process: both connections, and
 * the controller that was found.
 *
 * Nothing else is kept. What lies in the sockets was not done yet, and what the
 * guest makes of its pins is in the controller's registers.
 *
 * @module
 */
import { closeElsewhere, hangUpElsewhere } from "../../ffi/helper_thread.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { SessionKeeper } from "../peer/session_keeper.ts";
import type { SessionStore } from "../peer/session_store.ts";
import { type Controller, isController } from "./find_controller.ts";

/** The form of what is kept; no other is read. */
const VERSION = 1;
/** Processes that one connection may have had. */
const MAX_GENERATION = 1_000_000;
const QMP = "qmp";
const QTEST = "qtest";

/** Session of an earlier process. **Ownership**: of the fds, the holder's. */
export interface KeptQemu {
  readonly qmp: OwnedFd;
  readonly qtest: OwnedFd;
  readonly controller: Controller;
}

/** Keeps the session with one QEMU. **Ownership**: owns its places in the store. */
export class KeptPins implements Disposable {
  readonly #keeper: SessionKeeper;
  readonly #identity: string;
  #generation = 0;

  /**
   * Keeps in `store`.
   *
   * @param identity What a session is about: with anything else it cannot go on.
   * @throws {OsError} If there are no descriptors for it.
   */
  constructor(store: SessionStore, identity: string) {
    this.#keeper = SessionKeeper.open(store);
    this.#identity = identity;
  }

  /** Number of processes that had this connection before. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * Returns the session that an earlier process left; undefined if there is
   * none, or it cannot go on, which is reported: QEMU is hung up then.
   */
  take(): KeptQemu | undefined {
    const kept = this.#keeper.look();
    if (kept === undefined) return undefined;
    if (typeof kept === "string") {
      this.#keeper.reportLost(kept);
      return undefined;
    }
    const { fds, record } = kept;
    const qmp = fds.get(QMP);
    const qtest = fds.get(QTEST);
    const read = this.#read(record);
    if (typeof read === "object" && qmp !== undefined && qtest !== undefined) {
      return { qmp, qtest, controller: read };
    }
    this.#keeper.clear();
    this.#keeper.reportLost(
      typeof read === "string" ? read : "a connection of it is missing",
    );
    for (const fd of [qmp, qtest]) if (fd !== undefined) hangUpElsewhere(fd);
    closeElsewhere(fds.values());
    return undefined;
  }

  #read(record: unknown): Controller | string {
    if (typeof record !== "object" || record === null) return NO_SESSION;
    const { version, identity, generation, isSettled, controller } =
      record as Record<string, unknown>;
    if (version !== VERSION) return "its state is of another version";
    if (identity !== this.#identity) {
      return "its lines, or its QEMU, are others than there are now";
    }
    // Its last question may be answered yet, and the answer be taken for ours.
    if (isSettled !== true) return "a process ended as it was to go on";
    const isNumber = typeof generation === "number" &&
      Number.isSafeInteger(generation) && generation >= 0 &&
      generation < MAX_GENERATION;
    if (!isNumber || typeof controller !== "object" || controller === null) {
      return NO_SESSION;
    }
    const { properties, ...others } = controller as Record<string, unknown>;
    if (!Array.isArray(properties)) return NO_SESSION;
    try {
      const found = { ...others, properties: new Map(properties) };
      if (!isController(found)) return NO_SESSION;
      this.#generation = generation + 1;
      return found;
    } catch (error) {
      // It is not a list of pairs.
      if (!(error instanceof TypeError)) throw error;
      return NO_SESSION;
    }
  }

  /**
   * Keeps a session from now on, in place of the one before.
   *
   * @param fds Of both connections. **Ownership**: lent.
   * @param isSettled False while it is not known which answer is to what.
   */
  keep(
    fds: { readonly qmp: number; readonly qtest: number },
    controller: Controller,
    isSettled: boolean,
  ): void {
    const fault = this.#keeper.keep({
      version: VERSION,
      identity: this.#identity,
      generation: this.#generation,
      isSettled,
      controller: { ...controller, properties: [...controller.properties] },
    }, new Map([[QMP, fds.qmp], [QTEST, fds.qtest]]));
    if (fault !== undefined) this.#keeper.report(fault);
  }

  /** Keeps the session no longer, whose connections are still open here. */
  forget(): void {
    this.#keeper.clear({ isHeld: true });
  }

  /** The same: it is over, and the next one is another QEMU's. */
  over(): void {
    this.forget();
    this.#generation = 0;
  }

  /** Keeps nothing any more. Idempotent. */
  [Symbol.dispose](): void {
    this.#keeper[Symbol.dispose]();
  }
}

const NO_SESSION = "its record is not one of a session";
