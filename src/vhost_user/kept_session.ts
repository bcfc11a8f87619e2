/**
 * A session as it is kept for the next process: by its record, its descriptors
 * and its state memory.
 *
 * @module
 */
import { closeElsewhere, hangUpElsewhere } from "../../ffi/helper_thread.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { SessionKeeper } from "../peer/session_keeper.ts";
import type { VirtioDevice } from "../virtio/device.ts";
import { NamedFds } from "./messages/named_fds.ts";
import { FrontendRequest } from "./messages/protocol.ts";
import {
  decodeRecord,
  encodeRecord,
  FdName,
  type NegotiatedRecord,
  type RingSetRecord,
  type SessionFds,
  type SessionRecord,
} from "./session_record.ts";
import { StateMemory } from "./memory/state_memory.ts";

/** Requests that change nothing which the next process has to know. */
const READING_REQUESTS: ReadonlySet<number> = new Set([
  FrontendRequest.GET_FEATURES,
  FrontendRequest.GET_PROTOCOL_FEATURES,
  FrontendRequest.GET_QUEUE_NUM,
  FrontendRequest.GET_MAX_MEM_SLOTS,
  FrontendRequest.GET_CONFIG,
  FrontendRequest.SET_CONFIG,
  FrontendRequest.GET_INFLIGHT_FD,
  FrontendRequest.GET_STATUS,
]);

/**
 * Session of an earlier process. **Ownership**: of the state and of each
 * descriptor that is left in `fds`, the holder's.
 */
export interface ResumedSession {
  readonly connection: OwnedFd;
  readonly state: StateMemory;
  readonly record: SessionRecord;
  readonly named: NamedFds;
  /** Its other descriptors, by name. */
  readonly fds: Map<string, OwnedFd>;
}

/**
 * Returns the session that an earlier process kept; undefined if there is none,
 * or it cannot go on, which is reported: its VMM is hung up then.
 *
 * **Ownership**: the caller's.
 */
export function resumeSession(
  keeper: SessionKeeper,
  device: VirtioDevice,
): ResumedSession | "lost" | undefined {
  const kept = keeper.look();
  if (kept === undefined) return undefined;
  if (typeof kept === "string") {
    keeper.reportLost(kept);
    return "lost";
  }
  const fds = new Map(kept.fds);
  const resumed = open(kept.record, fds, device);
  if (typeof resumed !== "string") return resumed;
  keeper.clear();
  keeper.reportLost(resumed);
  const connection = fds.get(FdName.Connection);
  if (connection !== undefined) hangUpElsewhere(connection);
  closeElsewhere(fds.values());
  return "lost";
}

function open(
  data: unknown,
  fds: Map<string, OwnedFd>,
  device: VirtioDevice,
): ResumedSession | string {
  const record = decodeRecord(data);
  if (typeof record === "string") return record;
  if (record.device !== device.identity) {
    return "its guest knows other lines than there are now";
  }
  const connection = fds.get(FdName.Connection);
  const file = fds.get(FdName.State);
  if (connection === undefined || file === undefined) {
    return "its connection or its state memory is missing";
  }
  try {
    const state = StateMemory.resume(file, device);
    if (typeof state === "string") return state;
    const named = NamedFds.after(fds.keys());
    fds.delete(FdName.Connection);
    return { connection, state, record, named, fds };
  } catch (error) {
    if (!isOsError(error)) throw error;
    return error.message;
  }
}

/** Parts of a session that describe themselves. */
interface RecordedParts {
  readonly requests: { record(fds: SessionFds): NegotiatedRecord };
  readonly rings: { record(fds: SessionFds): RingSetRecord };
}

/** Keeps one session. **Ownership**: owns its state memory. */
export class KeptSession implements Disposable {
  readonly state: StateMemory;
  readonly #keeper: SessionKeeper;
  readonly #device: string;
  #isKept: boolean;
  #isOver = false;

  private constructor(
    keeper: SessionKeeper,
    device: VirtioDevice,
    state: StateMemory,
    isKept: boolean,
  ) {
    this.#keeper = keeper;
    this.#device = device.identity;
    this.state = state;
    this.#isKept = isKept;
  }

  /**
   * Begins to keep a session: a new one, or the one that is kept already.
   *
   * @throws {OsError} If there is no memory for its state.
   */
  static begin(
    keeper: SessionKeeper,
    device: VirtioDevice,
    resumed: ResumedSession | undefined,
  ): KeptSession {
    const state = resumed?.state ?? StateMemory.create(device);
    return new KeptSession(keeper, device, state, resumed !== undefined);
  }

  /** Notes that a message is taken from the connection and not served yet. */
  setServing(isServing: boolean): void {
    if (!this.#isOver) this.state.isServing = isServing;
  }

  /** Keeps the session as it is now, unless the request has changed nothing. */
  keepAfter(request: number, parts: RecordedParts, connection: number): void {
    if (!READING_REQUESTS.has(request)) this.keep(parts, connection);
  }

  /**
   * Keeps the session as it is now. Once it cannot be kept it is not any more:
   * it ends with this process.
   */
  keep({ requests, rings }: RecordedParts, connection: number): void {
    const { state } = this;
    const isFirst = state.fd !== undefined;
    if (!isFirst && !this.#isKept) return;
    const fds: SessionFds = new Map([
      [FdName.Connection, connection],
      [FdName.State, state.fd],
    ]);
    const record = encodeRecord({
      device: this.#device,
      ...requests.record(fds),
      ...rings.record(fds),
    });
    const fault = this.#keeper.keep(record, fds);
    state.isKept();
    this.#isKept = fault === undefined;
    if (fault !== undefined) this.#keeper.report(fault);
  }

  /**
   * Keeps nothing of the session any more: it is over. To be called while the
   * session still has its descriptors and mappings.
   */
  forget(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#keeper.clear({ isHeld: true });
  }

  [Symbol.dispose](): void {
    this.forget();
    this.state[Symbol.dispose]();
  }
}
