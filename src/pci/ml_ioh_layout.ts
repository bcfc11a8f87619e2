/**
 * Lines of an aggregator on the channels of an ML7213 IOH.
 *
 * @module
 */

/** A channel is a chip of the guest; these are their numbers of pins. */
export const CHANNEL_PINS: readonly number[] = [6, 12, 16, 16, 15, 16, 16, 12];

/** Most lines that a card has. */
export const MAX_LINES = CHANNEL_PINS.reduce((sum, pins) => sum + pins, 0);

/**
 * Channels in the order in which they are filled: those of 16 pins first, so
 * that up to 16 lines are one chip of the guest.
 */
const FILL_ORDER: readonly number[] = [2, 3, 5, 6, 4, 1, 7, 0];

/** Pin of a channel. */
interface Pin {
  readonly channel: number;
  readonly bit: number;
}

/**
 * Returns the pin of each of `count` lines.
 *
 * @throws {RangeError} If a card has not as many pins.
 */
export function layOut(count: number): Pin[] {
  if (count > MAX_LINES) {
    throw new RangeError(`an ML7213 IOH has ${MAX_LINES} lines, not ${count}`);
  }
  return FILL_ORDER.flatMap((channel) =>
    Array.from({ length: CHANNEL_PINS[channel]! }, (_, bit) => ({
      channel,
      bit,
    }))
  ).slice(0, count);
}
