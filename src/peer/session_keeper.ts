/**
 * Keeps what a session consists of outside this process, as one message that
 * waits in a pair of sockets: a record of the session, and copies of
 * its descriptors.
 *
 * The service manager keeps the two ends, and nothing of the session itself. So
 * a session takes two places in the manager's store however many descriptors it
 * has, a change of it needs no message to the manager (a guest can cause many
 * of them), and record and descriptors change at once: a process that is killed
 * leaves the old ones or the new ones.
 *
 * @module
 */
import { closeElsewhere } from "../../ffi/helper_thread.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import {
  MAX_PASSED_FDS,
  receive,
  receiveCopy,
  send,
  waitingBytes,
} from "../../ffi/socket_message.ts";
import { packetPair } from "../../ffi/unix_socket.ts";
import { SessionPart, type SessionStore } from "./session_store.ts";

/**
 * Longest message: the kernel takes twice as many bytes at once. **Units**:
 * bytes.
 */
const MAX_BYTES = 65_536;
/** Messages that a process leaves at most: the old one and the new one. */
const MAX_LEFT = 4;

/** Session of an earlier process. **Ownership**: of the fds, the holder's. */
export interface KeptSession {
  /** Record as it was given to {@linkcode SessionKeeper.keep}. */
  readonly record: unknown;
  /** Descriptors by the names that they were given. */
  readonly fds: ReadonlyMap<string, OwnedFd>;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
/** Messages are read one at a time. */
const buffer = new Uint8Array(MAX_BYTES);

/** Keeps the session of one socket. **Ownership**: owns its pair. */
export class SessionKeeper implements Disposable {
  readonly #store: SessionStore;
  readonly #sender: OwnedFd;
  readonly #receiver: OwnedFd;
  #isReported = false;
  /** Length of the message that was copied last. **Units**: bytes. */
  #copied = 0;
  /** Descriptors as they were given last. */
  #numbers: ReadonlyMap<string, number | undefined> | undefined;

  private constructor(
    store: SessionStore,
    [sender, receiver]: readonly [OwnedFd, OwnedFd],
  ) {
    this.#store = store;
    this.#sender = sender;
    this.#receiver = receiver;
  }

  /**
   * Takes the pair that an earlier process left, or makes one.
   *
   * @throws {OsError} If there are no descriptors for one.
   */
  static open(store: SessionStore): SessionKeeper {
    const sender = takeLast(store, SessionPart.Sender);
    const receiver = takeLast(store, SessionPart.Receiver);
    if (sender !== undefined && receiver !== undefined) {
      return new SessionKeeper(store, [sender, receiver]);
    }
    sender?.close();
    receiver?.close();
    const pair = packetPair();
    // Whatever was left of another pair has the same names.
    if (sender !== undefined) store.drop(SessionPart.Sender);
    if (receiver !== undefined) store.drop(SessionPart.Receiver);
    store.keep(SessionPart.Sender, pair[0].fd);
    store.keep(SessionPart.Receiver, pair[1].fd);
    return new SessionKeeper(store, pair);
  }

  /**
   * Returns the session that an earlier process left; undefined if it left none.
   * It stays kept.
   *
   * @returns Why it cannot be used, if so; it is kept no longer then.
   */
  look(): KeptSession | string | undefined {
    try {
      for (let left = MAX_LEFT; left > 0; left--) {
        const message = this.#copy();
        // Killed in the midst of a change: the newer one is whole as well.
        if (message === undefined || !this.#hasNewer) {
          if (typeof message === "string") this.clear();
          return message;
        }
        if (typeof message === "object") closeCopies(message);
        this.#discard();
      }
      this.clear();
      return "it was kept too often";
    } catch (error) {
      if (!isOsError(error)) throw error;
      this.clear();
      return error.message;
    }
  }

  /** True if the message that was copied last is not the only one. */
  get #hasNewer(): boolean {
    return waitingBytes(this.#receiver.fd) > this.#copied;
  }

  /**
   * Keeps a session from now on, in place of what was kept before.
   *
   * @param record Data that JSON can say.
   * @param fds Descriptors by name; `undefined` names one that is kept already.
   * **Ownership**: lent.
   * @returns Why it cannot be kept, if so: nothing is kept then.
   */
  keep(
    record: unknown,
    fds: ReadonlyMap<string, number | undefined>,
  ): string | undefined {
    const numbers = this.#numbers;
    this.#numbers = fds;
    // Their files are kept on: to close a copy is nothing then.
    const isKeptOn = (name: string) =>
      fds.has(name) &&
      (fds.get(name) === undefined || fds.get(name) === numbers?.get(name));
    let before: KeptSession | string | undefined;
    let fault: string | undefined;
    try {
      before = this.#copy();
      fault = this.#replace(record, fds, before);
      if (fault === undefined && before !== undefined) this.#discard(isKeptOn);
    } catch (error) {
      if (!isOsError(error)) throw error;
      fault = error.message;
    }
    if (typeof before === "object") {
      closeCopies(before, fault === undefined ? isKeptOn : undefined);
    }
    if (fault !== undefined) this.clear();
    return fault;
  }

  #replace(
    record: unknown,
    fds: ReadonlyMap<string, number | undefined>,
    before: KeptSession | string | undefined,
  ): string | undefined {
    const kept = typeof before === "string" ? undefined : before?.fds;
    const numbers = [...fds].map(([name, fd]) => fd ?? kept?.get(name)?.fd);
    return numbers.includes(undefined)
      ? "a descriptor of it is missing"
      : this.#sendSession(record, [...fds.keys()], numbers as number[]);
  }

  #sendSession(
    record: unknown,
    names: readonly string[],
    numbers: readonly number[],
  ): string | undefined {
    const bytes = encoder.encode(JSON.stringify({ fds: names, record }));
    if (bytes.length > MAX_BYTES) {
      return `its record has ${bytes.length} bytes, more than ${MAX_BYTES}`;
    }
    if (numbers.length > MAX_PASSED_FDS) {
      return `it has ${numbers.length} descriptors, more than ${MAX_PASSED_FDS}`;
    }
    return this.#send(bytes, numbers);
  }

  #send(bytes: Uint8Array, numbers: readonly number[]): string | undefined {
    return send(this.#sender.fd, bytes, numbers) < 0
      ? "the kernel takes no more"
      : undefined;
  }

  /** Reports, once, that the session is not kept. */
  report(fault: string): void {
    if (this.#isReported) return;
    this.#isReported = true;
    this.#store.report(
      `a VMM's session will end with the next restart: ${fault}`,
    );
  }

  /** Reports that an earlier process's session cannot go on. */
  reportLost(fault: string): void {
    this.#store.report(`a VMM's session ends with the restart: ${fault}`);
  }

  /**
   * Keeps no session.
   *
   * @param options `isHeld`: the files are open in this process, so that to close
   * the copies is nothing.
   */
  clear(options: { readonly isHeld?: boolean } = {}): void {
    const isKeptOn = () => options.isHeld === true;
    for (let left = MAX_LEFT; left > 0; left--) {
      if (!this.#discard(isKeptOn)) return;
    }
  }

  /**
   * Takes the oldest message away; false if there is none.
   *
   * @param isKeptOn Returns true for descriptors whose files others hold.
   */
  #discard(isKeptOn?: (name: string) => boolean): boolean {
    const fds: OwnedFd[] = [];
    try {
      const count = receive(this.#receiver.fd, buffer, fds);
      if (count < 0) return false;
      const message = namedFds(buffer.subarray(0, count), fds);
      if (typeof message === "object") closeCopies(message, isKeptOn);
      return true;
    } catch (error) {
      if (!isOsError(error)) throw error;
      // Some descriptors had no room here; the message is gone all the same.
      return true;
    } finally {
      closeElsewhere(fds);
    }
  }

  /** A copy of the oldest message. **Ownership**: of the fds, the caller's. */
  #copy(): KeptSession | string | undefined {
    const fds: OwnedFd[] = [];
    const count = receiveCopy(this.#receiver.fd, buffer, fds);
    if (count < 0) return undefined;
    this.#copied = count;
    const named = namedFds(buffer.subarray(0, count), fds);
    if (typeof named === "string") closeElsewhere(fds);
    return named;
  }

  /** Keeps nothing any more. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#receiver.closed) return;
    this.clear();
    this.#store.drop(SessionPart.Sender);
    this.#store.drop(SessionPart.Receiver);
    this.#sender.close();
    this.#receiver.close();
  }
}

/** Gives the descriptors of a message their names. */
function namedFds(
  bytes: Uint8Array,
  fds: readonly OwnedFd[],
): KeptSession | string {
  let message: unknown;
  try {
    message = JSON.parse(decoder.decode(bytes));
  } catch {
    return "its record is not JSON";
  }
  if (typeof message !== "object" || message === null) return NO_RECORD;
  const { fds: names, record } = message as Record<string, unknown>;
  if (
    !Array.isArray(names) || names.length !== fds.length ||
    new Set(names).size !== names.length
  ) return NO_RECORD;
  return {
    record,
    fds: new Map(names.map((name, i) => [String(name), fds[i]!])),
  };
}

const NO_RECORD = "its record is not one of a session";

/** Closes copies, at once where their files are kept on. */
function closeCopies(
  { fds }: KeptSession,
  isKeptOn: (name: string) => boolean = () => false,
): void {
  const others: OwnedFd[] = [];
  for (const [name, fd] of fds) {
    if (isKeptOn(name)) fd.close();
    else others.push(fd);
  }
  closeElsewhere(others);
}

/** Takes the newest of the fds that were kept as this part. */
function takeLast(store: SessionStore, part: SessionPart): OwnedFd | undefined {
  const fds = store.take(part);
  const last = fds.pop();
  for (const fd of fds) fd.close();
  return last;
}
