/**
 * An aggregator as a PCI card at a vfio-user socket.
 *
 * @module
 */
import type { VfioUserSpecification } from "../../config/specification.ts";
import { MlIoh } from "../../pci/ml_ioh.ts";
import { VfioUserBackend } from "../../vfio_user/backend.ts";
import { RequestCounters } from "../../virtio/gpio/counters.ts";
import {
  type Exposure,
  type ExposureContext,
  listenAt,
  readDurations,
  sessionStore,
  type Times,
} from "./exposure.ts";
import { MESSAGE_TYPES, pinRetryMs } from "./pin_requests.ts";

/**
 * Presents an aggregator as an ML7213 IOH.
 *
 * @throws {Error} If the socket cannot be made.
 */
export function exposeCard(
  { socketPath: path, access: users = {} }: VfioUserSpecification,
  { aggregator, loop, share, events, store }: ExposureContext,
  times: Times,
): Exposure {
  using resources = new DisposableStack();
  const counters = new RequestCounters(aggregator.lines.length);
  const card = new MlIoh(
    aggregator.lines.map((port) => ({
      port,
      get rule() {
        return port.specification.direction;
      },
      retry: { loop, delayMs: (level) => pinRetryMs(aggregator, port, level) },
    })),
    {
      started: (isResumed) => {
        aggregator.guestBegan(isResumed);
        events.report("started");
      },
      guestGone: () => aggregator.guestGone(),
      lineLeft: (lineNumber) => aggregator.lines[lineNumber]!.guestGone(),
      answered: (lineNumber, request, isOk, since) => {
        counters.countRequest(lineNumber, MESSAGE_TYPES[request], isOk);
        times?.book(lineNumber, since);
      },
      refused: (lineNumber) => {
        aggregator.lines[lineNumber]!.refuse("it is an input by rule");
      },
    },
    times === undefined ? () => 0 : () => performance.now(),
  );
  const { listener, socketPath, access } = listenAt(path, users, resources);
  const backend = resources.use(
    new VfioUserBackend({
      loop,
      share,
      card,
      endpoint: { listener },
      store: sessionStore(store, aggregator.name),
      onLost: () => aggregator.guestGone(),
      events: {
        connected: () => events.report("connected"),
        disconnected: (reason) => events.report("disconnected", reason),
        waiting: (who) => events.report("waiting", who),
        fault: (error) => events.report("fault", error.message),
      },
    }),
  );
  const owned = resources.move();
  return {
    presentation: `as a PCI card at ${socketPath}`,
    socketPath,
    controlBase: socketPath,
    access,
    endSession: (reason) => backend.endSession(reason),
    changeRules: () => {},
    count: () => ({ requests: counters.requests, ...readDurations(times) }),
    [Symbol.dispose]: () => owned.dispose(),
  };
}
