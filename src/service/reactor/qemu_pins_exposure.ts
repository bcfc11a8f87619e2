/**
 * An aggregator as the pins of a controller that a QEMU emulates.
 *
 * @module
 */
import type { QemuPinsSpecification } from "../../config/specification.ts";
import { QemuPins } from "../../qemu/qemu_pins.ts";
import { RequestCounters } from "../../virtio/gpio/counters.ts";
import {
  type Exposure,
  type ExposureContext,
  readDurations,
  sessionStore,
  type Times,
} from "./exposure.ts";
import { MESSAGE_TYPES, pinRetryMs } from "./pin_requests.ts";

/** Presents an aggregator to the QEMU behind two of its sockets. */
export function exposePins(
  { qtest, qmp, device, index, pins, allowed }: QemuPinsSpecification,
  { aggregator, loop, share, events, store }: ExposureContext,
  times: Times,
): Exposure {
  const counters = new RequestCounters(aggregator.lines.length);
  let notices: string[] = [];
  const exposure = new QemuPins({
    loop,
    share,
    qtestPath: qtest,
    qmpPath: qmp,
    device,
    ...(index === undefined ? {} : { index }),
    ...(pins === undefined ? {} : { pins }),
    ...(allowed === undefined ? {} : { allowed }),
    lines: aggregator.lines.map((port) => ({
      port,
      get rule() {
        return port.specification.direction;
      },
      retryMs: (level) => pinRetryMs(aggregator, port, level),
    })),
    store: sessionStore(store, aggregator.name),
    identity: JSON.stringify(
      aggregator.lines.map(({ specification: { name, source } }) => [
        name,
        source,
      ]),
    ),
    onGuestGone: () => aggregator.guestGone(),
    awaitsGuest: () => aggregator.awaitsGuest,
    onLineLeft: (lineNumber) => aggregator.lines[lineNumber]!.guestGone(),
    events: {
      connected: () => {
        events.report("connected", notices.join("; "));
        notices = [];
      },
      disconnected: (reason) => events.report("disconnected", reason),
      started: (isResumed) => {
        aggregator.guestBegan(isResumed);
        events.report("started");
      },
      stopped: () => events.report("stopped"),
      fault: ({ message, hint }) =>
        events.report("fault", hint === "" ? message : `${message}. ${hint}`),
      // Not counted as a fault, so it is reported with its QEMU.
      notice: (text) => {
        notices = [...notices.slice(-1), text];
      },
      answered: (lineNumber, request, isOk, since) => {
        counters.countRequest(lineNumber, MESSAGE_TYPES[request], isOk);
        times?.book(lineNumber, since);
      },
      refused: (lineNumber) => {
        aggregator.lines[lineNumber]!.refuse("it is an input by rule");
      },
    },
    ...(times === undefined ? {} : { now: () => performance.now() }),
  });
  return {
    presentation: `as pins of ${device} in the QEMU behind ${qtest}`,
    // Nothing is created beside a path that a client chose.
    ...(allowed === undefined ? { controlBase: qtest } : {}),
    access: {},
    changeRules: () => {},
    count: () => ({
      requests: counters.requests,
      ...readDurations(times),
      pins: exposure.counters,
    }),
    [Symbol.dispose]: () => exposure[Symbol.dispose](),
  };
}
