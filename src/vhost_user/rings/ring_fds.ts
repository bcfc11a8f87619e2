/**
 * Descriptors of one ring: its kick, which is watched, its call, and the one for
 * errors.
 *
 * @module
 */
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { CallFd, KickFd } from "../../peer/notify_fds.ts";
import type { EventLoop, TimeShare, Watch } from "../../reactor/event_loop.ts";
import { FdName, type SessionFds } from "../session_record.ts";

/** Needs of a ring's descriptors. */
export interface RingFdsHost {
  /** The loop that the kick is watched in. */
  readonly loop: EventLoop;
  /** The frontend's time in the loop. */
  readonly share: TimeShare;
  /**
   * A kick, call or error fd was made blocking and let a call wait. Called in the midst of
   * serving the ring: to be acted on later.
   */
  notifierWaited(index: number): void;
}

/** **Ownership**: owns the descriptors. */
export class RingFds implements Disposable {
  readonly #index: number;
  readonly #host: RingFdsHost;
  readonly #serve: () => void;
  #kick: KickFd | undefined;
  #watch: Watch | undefined;
  #call: CallFd | undefined;
  #err: CallFd | undefined;

  /** Begins without any; `serve` is what a kick runs. */
  constructor(index: number, host: RingFdsHost, serve: () => void) {
    this.#index = index;
    this.#host = host;
    this.#serve = serve;
  }

  /** Number of them. */
  get count(): number {
    return (this.#kick === undefined ? 0 : 1) +
      (this.#call === undefined ? 0 : 1) + (this.#err === undefined ? 0 : 1);
  }

  /** True if there is a kick. */
  get hasKick(): boolean {
    return this.#kick !== undefined;
  }

  /** See {@linkcode KickFd.wasKicked}. */
  get wasKicked(): boolean {
    return this.#kick?.wasKicked === true;
  }

  /** Names those that there are. */
  collect(fds: SessionFds): void {
    const kick = this.#kick;
    if (kick !== undefined) fds.set(FdName.kick(this.#index), kick.fd);
    const call = this.#call;
    if (call !== undefined) fds.set(FdName.call(this.#index), call.fd);
    const err = this.#err;
    if (err !== undefined) fds.set(FdName.err(this.#index), err.fd);
  }

  /**
   * Takes those that an earlier process had.
   *
   * @returns Why one of them cannot be used.
   * @throws {OsError} If the kernel will not watch a kick.
   */
  resume(fds: Map<string, OwnedFd>): string | undefined {
    const take = (name: string) => {
      const fd = fds.get(name);
      fds.delete(name);
      return fd;
    };
    const fault = this.setCall(take(FdName.call(this.#index))) ??
      this.setErr(take(FdName.err(this.#index)));
    if (fault !== undefined) return fault;
    const kick = take(FdName.kick(this.#index));
    return kick && this.setKick(kick);
  }

  readonly #takeKick = (events: number): void => {
    if (this.#kick?.take(events) === false) {
      if (this.#kick.hasWaited) this.#host.notifierWaited(this.#index);
      this.#endWatch();
    }
    this.#serve();
  };

  /** Notifies the driver of used entries. */
  readonly notify = (): void => {
    // Absent when the driver polls.
    if (this.#call !== undefined && !this.#call.signal()) {
      this.#host.notifierWaited(this.#index);
    }
  };

  /** Notifies the frontend that the ring is invalid. */
  tellError(): void {
    if (this.#err?.signal() === false) this.#host.notifierWaited(this.#index);
  }

  /**
   * Takes a new kick.
   *
   * @returns Why the fd cannot be one; it is closed then, as when this throws.
   * @throws {OsError} If the kernel will not watch it.
   */
  setKick(fd: OwnedFd): string | undefined {
    const kick = KickFd.open(fd);
    if (typeof kick === "string") return kick;
    let watch: Watch;
    try {
      watch = this.#host.loop.watch(
        kick.fd,
        kick.events,
        kick.mustBeTaken ? this.#takeKick : this.#serve,
        this.#host.share,
      );
    } catch (error) {
      kick[Symbol.dispose]();
      throw error;
    }
    this.endKick();
    this.#kick = kick;
    this.#watch = watch;
    return undefined;
  }

  /**
   * Takes a new call, or none.
   *
   * @returns Why the fd cannot be one; it is closed then, as when this throws.
   */
  setCall(fd: OwnedFd | undefined): string | undefined {
    const call = fd === undefined ? undefined : CallFd.open(fd);
    if (typeof call === "string") return call;
    this.#call?.[Symbol.dispose]();
    this.#call = call;
    return undefined;
  }

  /**
   * Takes a new fd for errors, or none.
   *
   * @returns Why the fd cannot be one; it is closed then, as when this throws.
   */
  setErr(fd: OwnedFd | undefined): string | undefined {
    const err = fd === undefined ? undefined : CallFd.open(fd);
    if (typeof err === "string") return err;
    this.#err?.[Symbol.dispose]();
    this.#err = err;
    return undefined;
  }

  /** Closes the kick. Idempotent. */
  endKick(): void {
    this.#endWatch();
    this.#kick?.[Symbol.dispose]();
    this.#kick = undefined;
  }

  #endWatch(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }

  /** Closes them all. Idempotent. */
  [Symbol.dispose](): void {
    this.endKick();
    this.#call?.[Symbol.dispose]();
    this.#call = undefined;
    this.#err?.[Symbol.dispose]();
    this.#err = undefined;
  }
}
