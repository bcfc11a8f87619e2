/**
 * Presentation of an aggregator to guests, inside the reactor, as its
 * specification says.
 *
 * @module
 */
import type { AggregatorSpecification } from "../../config/specification.ts";
import { RequestCounters } from "../../virtio/gpio/counters.ts";
import { RequestTimes } from "../../virtio/gpio/request_times.ts";
import type { Exposure, ExposureContext } from "./exposure.ts";
import { exposePins } from "./qemu_pins_exposure.ts";
import { exposeAdapters } from "./usbredir_exposure.ts";
import { exposeCard } from "./vfio_user_exposure.ts";
import { exposeDevice } from "./vhost_user_exposure.ts";

/**
 * Presents an aggregator as its specification says.
 *
 * An aggregator without any exposure is presented to no guest: its lines are in
 * their declared state (`gpioagg safe`).
 *
 * @throws {Error} If a socket cannot be made or opened.
 */
export function expose(
  specification: AggregatorSpecification,
  context: ExposureContext,
): Exposure {
  const { vhostUser, qemuPins, vfioUser, usbredir } = specification;
  const { aggregator, isTimed } = context;
  const times = isTimed ? new RequestTimes(aggregator.lines.length) : undefined;
  if (vhostUser !== undefined) {
    return exposeDevice(specification, vhostUser, context, times);
  }
  if (qemuPins !== undefined) return exposePins(qemuPins, context, times);
  if (vfioUser !== undefined) return exposeCard(vfioUser, context, times);
  if (usbredir !== undefined) return exposeAdapters(usbredir, context, times);
  const { requests } = new RequestCounters(aggregator.lines.length);
  return {
    presentation: "to no guest",
    access: {},
    changeRules: () => {},
    count: () => ({ requests }),
    [Symbol.dispose]() {},
  };
}
