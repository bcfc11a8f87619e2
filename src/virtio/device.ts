/**
 * What a transport (here: vhost-user) needs of a virtio device. Smaller than
 * the protocol on purpose: the transport negotiates, maps and starts queues,
 * the device is handed each queue while it runs and loses it when it stops.
 *
 * @module
 */
import type { SplitQueue } from "./split_queue.ts";

/** A virtio device, whatever transport presents it. */
export interface VirtioDevice {
  /** Device-type feature bits that are offered (bits 0 to 23). */
  readonly deviceFeatures: bigint;
  /** Number of queues with all features negotiated. */
  readonly queueCount: number;
  /** The device's configuration space as it stands: read-only for drivers. */
  readonly configSpace: Uint8Array;
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
   * @returns Whether entries remain because the budget was used up.
   */
  processQueue(index: number, budget: number): boolean;
  /**
   * The guest's state is gone (device reset, next guest, lost frontend): lines
   * go where their rules say. Queues are stopped by then.
   */
  reset(): void;
}
