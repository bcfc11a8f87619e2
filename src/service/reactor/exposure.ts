/**
 * Presentation of an aggregator to guests, inside the reactor: as a virtio-gpio
 * device at a vhost-user socket, or as the pins of a controller inside QEMU.
 *
 * @module
 */
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import { isListening } from "../../../ffi/unix_socket.ts";
import {
  type FdStore,
  sessionFdName,
} from "../../aggregator/restart/fd_store.ts";
import type { Aggregator } from "../../aggregator/aggregator.ts";
import type { AggregatorLine } from "../../aggregator/aggregator_line.ts";
import type {
  AggregatorSpecification,
  FileAccess,
  QemuPinsSpecification,
  UsbredirSpecification,
  VfioUserSpecification,
  VhostUserSpecification,
} from "../../config/specification.ts";
import type { SessionPart, SessionStore } from "../../peer/session_store.ts";
import { MlIoh } from "../../pci/ml_ioh.ts";
import { QemuPins } from "../../qemu/qemu_pins.ts";
import { DEFAULT_POLL_SHARE } from "../../config/values/polling.ts";
import type {
  EventLoop,
  PollSettings,
  TimeShare,
} from "../../reactor/event_loop.ts";
import { VfioUserBackend } from "../../vfio_user/backend.ts";
import { VhostUserBackend } from "../../vhost_user/backend.ts";
import {
  DEFAULT_PAUSED_FOR_MS,
  type PausedFor,
} from "../../vhost_user/pause_watch.ts";
import { RequestCounters } from "../../virtio/gpio/counters.ts";
import { GpioDevice } from "../../virtio/gpio/device.ts";
import { MessageType } from "../../virtio/gpio/protocol.ts";
import { RequestTimes } from "../../virtio/gpio/request_times.ts";
import { listenFor } from "../sockets/file_access.ts";
import { exposeUsb } from "./usb_exposure.ts";
import type { ExposureCounts, ServiceEvent } from "../messages/messages.ts";

/**
 * Socket files are for their owner and group; the directory decides the rest.
 */
export const SOCKET_MODE = 0o660;

/** Events of an exposure. */
interface ExposureEvents {
  /** Something happened. */
  report(event: ServiceEvent["event"], detail?: string): void;
  /** The given connection has ended: no other can be made. */
  over(): void;
}

/** An aggregator as guests see it. Disposing ends its use by guests. */
export interface Exposure extends Disposable {
  /** Presentation as text: `at /run/plc0.sock`. */
  readonly presentation: string;
  /** Its vhost-user socket, if it is in the file system. */
  readonly socketPath?: string;
  /** The file beside which the control socket is made, if any. */
  readonly controlBase?: string;
  /** Owner, group and mode of its sockets. */
  readonly access: FileAccess;
  /** Takes over the settings that may change under a guest. */
  changeRules(specification: AggregatorSpecification): void;
  /** Leaves what goes on in the next process: nothing is served from now on. */
  handOver?(): void;
  /** Ends the current session; absent where that is not possible. */
  endSession?(reason: string): void;
  /** Returns counters of what guests caused. */
  count(): ExposureCounts;
}

/** Surroundings of an exposure. */
interface ExposureContext {
  readonly aggregator: Aggregator;
  readonly loop: EventLoop;
  /** The guests' time in the loop. */
  readonly share: TimeShare;
  readonly events: ExposureEvents;
  /** True to measure the duration of requests. */
  readonly isTimed: boolean;
  /** Keeps sessions of VMMs that cannot connect again. */
  readonly store: FdStore | undefined;
}

/** Durations of requests, if they are measured. */
type Times = RequestTimes | undefined;

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
    this.#aggregator.guestBegan();
  }

  override reset(): void {
    super.reset();
    this.#aggregator.guestGone();
  }
}

/** **Units**: milliseconds. */
function pausedForOf(
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

function exposeDevice(
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
      pausedFor: pausedForOf(specification),
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
      backend.pausedFor = pausedForOf(specification);
      setPolling(polling, specification);
    },
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

/** Translates a guest's use of its pins into virtio-gpio's terms. */
const MESSAGE_TYPES = {
  set_direction: MessageType.SetDirection,
  set_value: MessageType.SetValue,
} as const;

function exposePins(
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
      started: () => {
        aggregator.guestBegan();
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
    // Nothing is created beside a path that a client chose.
    ...(allowed === undefined ? { controlBase: qtest } : {}),
    access: {},
    changeRules: () => {},
    count: () => ({
      requests: counters.requests,
      ...durationsOf(times),
      pins: exposure.counters,
    }),
    [Symbol.dispose]: () => exposure[Symbol.dispose](),
  };
}

/** Returns the store of what one aggregator's session has. */
function sessionStore(
  store: FdStore | undefined,
  aggregator: string,
): SessionStore | undefined {
  if (store === undefined) return undefined;
  const nameOf = (part: SessionPart) => sessionFdName(aggregator, part);
  return {
    take: (part) => store.take(nameOf(part)),
    keep: (part, fd) => store.keep(nameOf(part), fd),
    drop: (part) => store.drop(nameOf(part)),
    report: (problem) => store.report(problem),
  };
}

function exposeCard(
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
      started: () => {
        aggregator.guestBegan();
        events.report("started");
      },
      guestGone: () => aggregator.guestGone(),
      lineLeft: (lineNumber) => aggregator.lines[lineNumber]!.guestGone(),
      answered: (lineNumber, request, isOk, since) => {
        counters.countRequest(lineNumber, MESSAGE_TYPES[request], isOk);
        times?.answered(lineNumber, since);
        times?.published(true);
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
    count: () => ({ requests: counters.requests, ...durationsOf(times) }),
    [Symbol.dispose]: () => owned.dispose(),
  };
}

function exposeAdapters(
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
        times?.answered(lineNumber, since);
        times?.published(true);
      },
    },
  );
  return {
    ...adapters,
    changeRules: () => {},
    count: () => ({
      requests: counters.requests,
      ...durationsOf(times),
      usb: adapters.count(),
    }),
  };
}

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
function pinRetryMs(
  { lines }: Aggregator,
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

function durationsOf(
  times: Times,
): Pick<ExposureCounts, "durations"> {
  if (times === undefined) return {};
  const { buckets, sums } = times;
  return { durations: { buckets, sums } };
}
