/**
 * How an aggregator is presented to guests, inside the reactor: as a virtio-gpio
 * device at a vhost-user socket, or as the pins of a controller inside QEMU.
 *
 * @module
 */
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { isListening } from "../../ffi/unix_socket.ts";
import type { Aggregator } from "../aggregator/aggregator.ts";
import type {
  AggregatorSpecification,
  FileAccess,
  QemuPinsSpecification,
  VhostUserSpecification,
} from "../config/specification.ts";
import { QemuPins } from "../qemu/qemu_pins.ts";
import type { EventLoop } from "../reactor/event_loop.ts";
import { VhostUserBackend } from "../vhost_user/backend.ts";
import { GpioCounters } from "../virtio/gpio_counters.ts";
import { GpioDevice } from "../virtio/gpio_device.ts";
import { REQUEST_QUEUE } from "../virtio/gpio_protocol.ts";
import { listenFor } from "./file_access.ts";
import type { ServiceEvent } from "./messages.ts";
import { TurnTimes } from "./turn_times.ts";

/** Socket files are for their owner and group; the directory decides the rest. */
export const SOCKET_MODE = 0o660;

/** What an exposure tells of itself. */
export interface ExposureEvents {
  /** Something happened. */
  report(event: ServiceEvent["event"], detail?: string): void;
  /** The connection that was given has ended: nobody can come any more. */
  over(): void;
}

/** An aggregator as guests find it. Disposing ends it for them. */
export interface Exposure extends Disposable {
  /** How it is presented, in words: `at /run/plc0.sock`. */
  readonly presentation: string;
  /** Its vhost-user socket, if it stands in the file system. */
  readonly socketPath?: string;
  /** The file that the control socket stands beside, if there is one. */
  readonly controlBase?: string;
  /** Who may use its sockets. */
  readonly access: FileAccess;
  /** What guests caused so far. */
  readonly counters: GpioCounters;
  /** How long turns took, where that is measured. */
  readonly turns?: TurnTimes;
}

/**
 * Presents `aggregator` as its specification says.
 *
 * @param isTimed Whether to measure how long turns take.
 * @throws {Error} If a socket cannot be had, or there is nothing to present it.
 */
export function expose(
  { name, vhostUser, qemuPins }: AggregatorSpecification,
  aggregator: Aggregator,
  loop: EventLoop,
  events: ExposureEvents,
  isTimed: boolean,
): Exposure {
  if (vhostUser !== undefined) {
    return exposeDevice(name, vhostUser, aggregator, loop, events, isTimed);
  }
  if (qemuPins !== undefined) {
    return exposePins(qemuPins, aggregator, loop, events);
  }
  throw new Error(`${name} is not presented to any guest`);
}

/** A virtio-gpio device whose lines have rules for a missing guest. */
class AggregatorDevice extends GpioDevice {
  readonly #aggregator: Aggregator;

  constructor(aggregator: Aggregator) {
    super(aggregator.lines);
    this.#aggregator = aggregator;
  }

  override reset(): void {
    super.reset();
    this.#aggregator.guestGone();
  }
}

/** One that measures its turns: chosen at construction, so others pay nothing. */
class TimedDevice extends AggregatorDevice {
  readonly turns = new TurnTimes();

  override processQueue(index: number, budget: number): boolean {
    if (index !== REQUEST_QUEUE) return super.processQueue(index, budget);
    const start = performance.now();
    const hasMore = super.processQueue(index, budget);
    this.turns.add(performance.now() - start);
    return hasMore;
  }
}

function exposeDevice(
  name: string,
  vhostUser: VhostUserSpecification,
  aggregator: Aggregator,
  loop: EventLoop,
  events: ExposureEvents,
  isTimed: boolean,
): Exposure {
  using resources = new DisposableStack();
  const device = isTimed
    ? new TimedDevice(aggregator)
    : new AggregatorDevice(aggregator);
  const { listener, socketPath, access } = "fd" in vhostUser
    ? {
      listener: resources.use(new OwnedFd(vhostUser.fd, `fd ${vhostUser.fd}`)),
      socketPath: undefined,
      access: {},
    }
    : listenAt(vhostUser.socketPath, vhostUser.access ?? {}, resources);
  const isConnection = "fd" in vhostUser && !isListening(listener.fd);
  resources.use(
    new VhostUserBackend({
      loop,
      device,
      name,
      endpoint: isConnection ? { connection: listener } : { listener },
      events: {
        connected: () => events.report("connected"),
        disconnected: (reason) => {
          events.report("disconnected", reason);
          if (isConnection) loop.defer(() => events.over());
        },
        started: () => events.report("started"),
        stopped: () => events.report("stopped"),
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
    counters: device.counters,
    ...(device instanceof TimedDevice ? { turns: device.turns } : {}),
    [Symbol.dispose]: () => owned.dispose(),
  };
}

function listenAt(
  socketPath: string,
  access: FileAccess,
  resources: DisposableStack,
) {
  const { listener } = resources.use(
    listenFor(socketPath, access, SOCKET_MODE),
  );
  return { listener, socketPath, access };
}

function exposePins(
  { qtest, qmp, device, index, pins }: QemuPinsSpecification,
  aggregator: Aggregator,
  loop: EventLoop,
  events: ExposureEvents,
): Exposure {
  const exposure = new QemuPins({
    loop,
    qtestPath: qtest,
    qmpPath: qmp,
    device,
    ...(index === undefined ? {} : { index }),
    ...(pins === undefined ? {} : { pins }),
    lines: aggregator.lines.map((port) => ({
      port,
      get rule() {
        return port.specification.direction;
      },
    })),
    onGuestGone: () => aggregator.guestGone(),
    events: {
      connected: () => events.report("connected"),
      disconnected: (reason) => events.report("disconnected", reason),
      started: () => events.report("started"),
      stopped: () => events.report("stopped"),
      fault: (error) => events.report("fault", error.message),
    },
  });
  return {
    presentation: `as pins of ${device} in the QEMU behind ${qtest}`,
    controlBase: qtest,
    access: {},
    // Pins have no requests: the counts of a virtio-gpio device stay at zero.
    counters: new GpioCounters(aggregator.lines.length),
    [Symbol.dispose]: () => exposure[Symbol.dispose](),
  };
}
