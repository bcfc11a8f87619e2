/**
 * An aggregator as a virtio-gpio device at a vhost-user socket.
 *
 * @module
 */
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import { isListening } from "../../../ffi/unix_socket.ts";
import type { Aggregator } from "../../aggregator/aggregator.ts";
import type {
  AggregatorSpecification,
  VhostUserSpecification,
} from "../../config/specification.ts";
import { DEFAULT_POLL_SHARE } from "../../config/values/polling.ts";
import type { PollSettings } from "../../reactor/event_loop.ts";
import { VhostUserBackend } from "../../vhost_user/backend.ts";
import {
  DEFAULT_PAUSED_FOR_MS,
  type PausedFor,
} from "../../vhost_user/pause_watch.ts";
import { GpioDevice } from "../../virtio/gpio/device.ts";
import {
  type Exposure,
  type ExposureContext,
  listenAt,
  readDurations,
  sessionStore,
  type Times,
} from "./exposure.ts";

/** A virtio-gpio device whose lines have rules for the absence of a guest. */
class AggregatorDevice extends GpioDevice {
  readonly #aggregator: Aggregator;

  constructor(aggregator: Aggregator, times: Times) {
    super(aggregator.lines, times === undefined ? {} : { times });
    this.#aggregator = aggregator;
  }

  guestBegins(isNew: boolean): void {
    // Its rings are not those of the guest that an earlier process served.
    if (isNew && this.#aggregator.awaitsGuest) this.reset();
    this.#aggregator.guestBegan(!isNew);
  }

  override reset(): void {
    super.reset();
    this.#aggregator.guestGone();
  }
}

/** **Units**: milliseconds. */
function toPausedFor(
  { pausedForUs }: AggregatorSpecification,
): PausedFor {
  return pausedForUs === undefined
    ? DEFAULT_PAUSED_FOR_MS
    : pausedForUs === "keep"
    ? pausedForUs
    : pausedForUs / 1000;
}

/** Sets how long rings are looked at after a request. */
function setPolling(
  polling: PollSettings,
  { pollUs = 0, pollShare = DEFAULT_POLL_SHARE }: AggregatorSpecification,
): void {
  polling.periodUs = pollUs;
  polling.sharePercent = pollShare;
}

/**
 * Presents an aggregator at a vhost-user socket or a given fd.
 *
 * @throws {Error} If the socket cannot be made or opened.
 */
export function exposeDevice(
  specification: AggregatorSpecification,
  vhostUser: VhostUserSpecification,
  { aggregator, loop, share, events, store }: ExposureContext,
  times: Times,
): Exposure {
  using resources = new DisposableStack();
  // First, since a given fd is closed with it, whatever fails.
  const { listener, socketPath, access } = "fd" in vhostUser
    ? {
      listener: resources.use(new OwnedFd(vhostUser.fd, `fd ${vhostUser.fd}`)),
      socketPath: undefined,
      access: {},
    }
    : listenAt(vhostUser.socketPath, vhostUser.access ?? {}, resources);
  const device = new AggregatorDevice(aggregator, times);
  const polling = { periodUs: 0, sharePercent: DEFAULT_POLL_SHARE };
  setPolling(polling, specification);
  const isConnection = "fd" in vhostUser && !isListening(listener.fd);
  const backend = resources.use(
    new VhostUserBackend({
      loop,
      share,
      device,
      name: specification.name,
      pausedFor: toPausedFor(specification),
      polling,
      // A connection that was given has no socket for the next process.
      store: isConnection ? undefined : sessionStore(store, aggregator.name),
      endpoint: isConnection ? { connection: listener } : { listener },
      events: {
        connected: () => events.report("connected"),
        disconnected: (reason) => {
          events.report("disconnected", reason);
          if (isConnection) loop.defer(() => events.over());
        },
        started: (detail) => events.report("started", detail),
        stopped: () => events.report("stopped"),
        gone: (reason) => events.report("gone", reason),
        waiting: (who) => events.report("waiting", who),
        fault: (error) => events.report("fault", error.message),
      },
    }),
  );
  const owned = resources.move();
  return {
    presentation: socketPath === undefined
      ? "at a given fd"
      : `at ${socketPath}`,
    ...(socketPath === undefined
      ? {}
      : { socketPath, controlBase: socketPath }),
    access,
    endSession: (reason) => backend.endSession(reason),
    changeRules: (specification) => {
      backend.pausedFor = toPausedFor(specification);
      setPolling(polling, specification);
    },
    count: () => {
      const { requests, unattributed, events, refusedChains } = device.counters;
      return {
        requests,
        ...readDurations(times),
        device: { unattributed, events, refusedChains },
      };
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}
