/**
 * A guest's use of the pins of a controller, in the terms of virtio-gpio.
 *
 * @module
 */
import type { Aggregator } from "../../aggregator/aggregator.ts";
import type { AggregatorLine } from "../../aggregator/aggregator_line.ts";
import { MessageType } from "../../virtio/gpio/protocol.ts";

/** Translates a guest's use of its pins into virtio-gpio's terms. */
export const MESSAGE_TYPES = {
  set_direction: MessageType.SetDirection,
  set_value: MessageType.SetValue,
} as const;

/**
 * First and longest delay before a line that does not follow its guest's pin is
 * retried.
 */
const PIN_RETRY_MS = 1000;

/**
 * Returns the delay before a rejected `level` of a pin, of which a guest is not
 * notified, is retried; undefined: not at all. A port's level is the line's
 * value.
 */
export function pinRetryMs(
  { lines }: Pick<Aggregator, "lines">,
  line: AggregatorLine,
  level: number,
): number | undefined {
  const isWatched = lines.some(({ specification }) =>
    specification.safeAfterUs !== undefined
  );
  // A retry would count as a guest's request, or undo the effect of its
  // silence.
  if (isWatched) return undefined;
  // One rule never becomes active because another one ended.
  if (level === 1 && line.interlock !== undefined) return undefined;
  const { minIntervalUs = 0 } = line.specification;
  return Math.max(PIN_RETRY_MS, minIntervalUs / 1000);
}
