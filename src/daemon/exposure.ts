/**
 * How an aggregator is presented to guests, inside the reactor: as a virtio-gpio
 * device at a vhost-user socket, or as the pins of a controller inside QEMU.
 *
 * @module
 */
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { isListening } from "../../ffi/unix_socket.ts";
import type { Aggregator } from "../aggregator/aggregator.ts";
import type { AggregatorLine } from "../aggregator/aggregator_line.ts";
import type {
  AggregatorSpecification,
  FileAccess,
  QemuPinsSpecification,
  VhostUserSpecification,
} from "../config/specification.ts";
import { QemuPins } from "../qemu/qemu_pins.ts";
import type { EventLoop } from "../reactor/event_loop.ts";
import { VhostUserBackend } from "../vhost_user/backend.ts";
import { RequestCounters } from "../virtio/gpio_counters.ts";
import { GpioDevice } from "../virtio/gpio_device.ts";
import { MessageType } from "../virtio/gpio_protocol.ts";
import { RequestTimes } from "../virtio/request_times.ts";
import { listenFor } from "./file_access.ts";
import type { ExposureCounts, ServiceEvent } from "./messages.ts";

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
  /** Tells what guests caused so far. */
  count(): ExposureCounts;
}

/**
 * Presents `aggregator` as its specification says.
 *
 * @param isTimed Whether to measure how long requests take.
 * @throws {Error} If a socket cannot be had, or there is nothing to present it.
 */
export function expose(
  { name, vhostUser, qemuPins }: AggregatorSpecification,
  aggregator: Aggregator,
  loop: EventLoop,
  events: ExposureEvents,
  isTimed: boolean,
): Exposure {
  const times = isTimed ? new RequestTimes(aggregator.lines.length) : undefined;
  if (vhostUser !== undefined) {
    return exposeDevice(name, vhostUser, aggregator, loop, events, times);
  }
  if (qemuPins !== undefined) {
    return exposePins(qemuPins, aggregator, loop, events, times);
  }
  throw new Error(`${name} is not presented to any guest`);
}

/** A virtio-gpio device whose lines have rules for a missing guest. */
class AggregatorDevice extends GpioDevice {
  readonly #aggregator: Aggregator;

  constructor(aggregator: Aggregator, times: RequestTimes | undefined) {
    super(aggregator.lines, times === undefined ? {} : { times });
    this.#aggregator = aggregator;
  }

  guestBegins(isNew: boolean): void {
    // Its rings are not those of the guest that an earlier process served.
    if (isNew && this.#aggregator.awaitsGuest) this.reset();
    this.#aggregator.guestBegan();
  }

  override reset(): void {
    super.reset();
    this.#aggregator.guestGone();
  }
}

function exposeDevice(
  name: string,
  vhostUser: VhostUserSpecification,
  aggregator: Aggregator,
  loop: EventLoop,
  events: ExposureEvents,
  times: RequestTimes | undefined,
): Exposure {
  using resources = new DisposableStack();
  const device = new AggregatorDevice(aggregator, times);
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
    count: () => {
      const { requests, unattributed, events, refusedChains } = device.counters;
      return {
        requests,
        ...durationsOf(times),
        device: { unattributed, events, refusedChains },
      };
    },
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

/** What a guest asks by its pins, in the words of virtio-gpio. */
const MESSAGE_TYPES = {
  set_direction: MessageType.SetDirection,
  set_value: MessageType.SetValue,
} as const;

function exposePins(
  { qtest, qmp, device, index, pins }: QemuPinsSpecification,
  aggregator: Aggregator,
  loop: EventLoop,
  events: ExposureEvents,
  times: RequestTimes | undefined,
): Exposure {
  const counters = new RequestCounters(aggregator.lines.length);
  let notice = "";
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
      retryMs: (level) => pinRetryMs(aggregator, port, level),
    })),
    onGuestGone: () => aggregator.guestGone(),
    awaitsGuest: () => aggregator.awaitsGuest,
    onLineLeft: (lineNumber) => aggregator.lines[lineNumber]!.guestGone(),
    events: {
      connected: () => {
        events.report("connected", notice);
        notice = "";
      },
      disconnected: (reason) => events.report("disconnected", reason),
      started: () => {
        aggregator.guestBegan();
        events.report("started");
      },
      stopped: () => events.report("stopped"),
      fault: ({ message, hint }) =>
        events.report("fault", hint === "" ? message : `${message}. ${hint}`),
      // No fault, so it goes with the QEMU that it is about.
      notice: (text) => {
        notice = text;
      },
      answered: (lineNumber, request, isOk, since) => {
        counters.countRequest(lineNumber, MESSAGE_TYPES[request], isOk);
        times?.answered(lineNumber, since);
        times?.published(true);
      },
      refused: (lineNumber) => {
        aggregator.lines[lineNumber]!.refuse("it is an input by rule");
      },
    },
    ...(times === undefined ? {} : { now: () => performance.now() }),
  });
  return {
    presentation: `as pins of ${device} in the QEMU behind ${qtest}`,
    controlBase: qtest,
    access: {},
    count: () => ({
      requests: counters.requests,
      ...durationsOf(times),
      pins: exposure.counters,
    }),
    [Symbol.dispose]: () => exposure[Symbol.dispose](),
  };
}

/** How soon a line is tried again that did not do what its guest's pin says. */
const PIN_RETRY_MS = 1000;

/**
 * How long after a line did not take `level` from its pin, which a guest is not
 * told of, that is tried again; undefined: not at all. What a port calls its
 * level is the line's value.
 */
function pinRetryMs(
  { lines }: Aggregator,
  line: AggregatorLine,
  level: number,
): number | undefined {
  const isWatched = lines.some(({ specification }) =>
    specification.safeAfterUs !== undefined
  );
  // Trying would be taken for the guest's word, or undo what its silence did.
  if (isWatched) return undefined;
  // Nothing starts by itself because something else has stopped.
  if (level === 1 && line.isInterlocked) return undefined;
  const { minIntervalUs = 0 } = line.specification;
  return Math.max(PIN_RETRY_MS, minIntervalUs / 1000);
}

function durationsOf(
  times: RequestTimes | undefined,
): Pick<ExposureCounts, "durations"> {
  if (times === undefined) return {};
  const { buckets, sums } = times;
  return { durations: { buckets, sums } };
}
