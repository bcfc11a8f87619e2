/**
 * Interface of a virtio device for a transport (here: vhost-user). Smaller than
 * the protocol on purpose: the transport negotiates, maps and starts queues,
 * and hands each queue to the device while the queue runs.
 *
 * @module
 */
import type { ChainFault } from "./queue/chain_fault.ts";
import type { SplitQueue } from "./queue/split_queue.ts";

/** The time of one turn, as far as a peer may use it. */
export interface Pace {
  /**
   * Takes units of work of some microseconds at most.
   *
   * @returns True while more may be taken in this turn.
   */
  take(units: number): boolean;
}

/** A virtio device, whatever transport presents it. */
export interface VirtioDevice {
  /** Device-type feature bits that are offered (bits 0 to 23). */
  readonly deviceFeatures: bigint;
  /** Number of queues with all features negotiated. */
  readonly queueCount: number;
  /** The device's configuration space as it stands: read-only for drivers. */
  readonly configSpace: Uint8Array;
  /**
   * Memory that {@linkcode VirtioDevice.keepState} takes; 0 if a driver of such
   * a device says everything again. **Units**: bytes, a multiple of 8.
   */
  readonly stateBytes: number;
  /**
   * Distinguishes the device from others that a driver may know instead: by its
   * configuration, and by what each of its parts is called.
   */
  readonly identity: string;
  /**
   * Returns true if the device answers the requests of a queue in the order in
   * which it takes them, until it asks the queue for its log.
   */
  answersInOrder?(index: number): boolean;
  /**
   * A guest is served from now on: called before its first queue starts, again
   * after each reset.
   *
   * @param isNew Whether its rings are as a driver begins them, or are not
   * those of the guest of the in-flight log. It is not a guest that was
   * served before and never noticed.
   */
  guestBegins?(isNew: boolean): void;
  /**
   * Called for each chain that is given back unserved, if the transport has set
   * it: with the queue's index, and the fault of the chain, which is `None` if
   * there is no room for a response.
   */
  onRefusedChain?: ((index: number, fault: ChainFault) => void) | undefined;
  /**
   * Called when entries that the device holds can go on without a kick, if the
   * transport has set it: that calls `processQueue` in a later turn.
   */
  onMore?: ((index: number) => void) | undefined;
  /** The feature bits that the driver accepted; called before queues start. */
  setFeatures(features: bigint): void;
  /**
   * Hands over a queue. Entries that an earlier run of the same ring took and
   * did not give back come first out of `queue.pop` (a pause, or a reconnect
   * with in-flight tracking, is not a reset).
   */
  startQueue(index: number, queue: SplitQueue): void;
  /**
   * Takes the queue away. From here on the device neither touches guest memory
   * through it nor notifies; entries it holds are forgotten (the transport
   * remembers them and offers them again).
   */
  stopQueue(index: number): void;
  /**
   * Serves what the driver has made available on one queue.
   *
   * @param budget Entries to take at most in this turn.
   * @param pace Asked after each entry; absent: time is not limited.
   * @returns True if entries remain because budget or time was used up.
   */
  processQueue(index: number, budget: number, pace?: Pace): boolean;
  /**
   * Keeps what a driver says once and never again in `memory`, from now on and
   * with each change, until replaced: with it, and with the transport's
   * log of what is in flight, a guest that never noticed goes on with the next
   * session, or with the next process. Called after `setFeatures` and before
   * the first queue starts; the memory may have any content and is
   * checked.
   *
   * The lender of the memory takes it back (`undefined`) *before* the `reset`
   * that follows a lost frontend, which must not erase it, and before it is
   * unmapped. A reset with memory in use erases what it says.
   *
   * @param memory `stateBytes` of it or more, aligned to 8; `undefined` for
   * none.
   * @param isSameGuest True if the guest in `memory` is the one that
   * is served now: then what it says is restored, as far as that is harmless.
   * Otherwise the present state is written over it.
   */
  keepState(memory: Uint8Array | undefined, isSameGuest: boolean): void;
  /**
   * The guest's state is gone (device reset, next guest, lost frontend): lines
   * go where their rules say. Queues are stopped by then.
   */
  reset(): void;
}
