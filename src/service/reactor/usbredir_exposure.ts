/**
 * An aggregator as GPIO adapters on USB that a QEMU carries to its guest.
 *
 * @module
 */
import type { UsbredirSpecification } from "../../config/specification.ts";
import { RequestCounters } from "../../virtio/gpio/counters.ts";
import {
  type Exposure,
  type ExposureContext,
  readDurations,
  sessionStore,
  SOCKET_MODE,
  type Times,
} from "./exposure.ts";
import { exposeUsb } from "./usb_exposure.ts";

/**
 * Presents an aggregator as adapters on USB.
 *
 * @throws {Error} If a socket cannot be made.
 */
export function exposeAdapters(
  usbredir: UsbredirSpecification,
  { aggregator, loop, share, events, store }: ExposureContext,
  times: Times,
): Exposure {
  const counters = new RequestCounters(aggregator.lines.length);
  const adapters = exposeUsb(
    usbredir,
    {
      aggregator,
      loop,
      share,
      mode: SOCKET_MODE,
      // A kernel chip goes with this process.
      store: usbredir.serial === undefined
        ? sessionStore(store, aggregator.name)
        : undefined,
    },
    {
      report: (event, detail) => events.report(event, detail),
      answered: (lineNumber, type, isOk, since) => {
        counters.countRequest(lineNumber, type, isOk);
        times?.book(lineNumber, since);
      },
    },
  );
  return {
    ...adapters,
    changeRules: () => {},
    count: () => ({
      requests: counters.requests,
      ...readDurations(times),
      usb: adapters.count(),
    }),
  };
}
