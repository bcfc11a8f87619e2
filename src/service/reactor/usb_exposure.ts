/**
 * An aggregator as GPIO adapters on USB, inside the reactor.
 *
 * @module
 */
import type { Aggregator } from "../../aggregator/aggregator.ts";
import {
  type FileAccess,
  usbredirSockets,
  type UsbredirSpecification,
} from "../../config/specification.ts";
import { LineOperation } from "../../line/port.ts";
import type { EventLoop, Timer, TimeShare } from "../../reactor/event_loop.ts";
import type { SessionStore } from "../../peer/session_store.ts";
import {
  type AdapterSocket,
  type AdapterSocketEvents,
  type ResumedHost,
  serveAdapter,
} from "../../usb_host/adapter_server.ts";
import { KeptAdapters } from "../../usb_host/kept_adapters.ts";
import { type Adapter, makeAdapters } from "../../usb_host/adapters.ts";
import { USBIP } from "../../usbip/wire.ts";
import { USBREDIR, UsbredirConnector } from "../../usbredir/usbredir.ts";
import { MessageType } from "../../virtio/gpio/protocol.ts";
import type { ExposureCounts, ServiceEvent } from "../messages/messages.ts";
import { listenFor } from "../sockets/file_access.ts";

/** Reports of the adapters. */
interface UsbExposureEvents {
  /** Something happened. */
  report(event: ServiceEvent["event"], detail?: string): void;
  /** A request, in the terms of virtio-gpio, was done, or was not. */
  answered(
    lineNumber: number,
    type: number,
    isOk: boolean,
    since: number,
  ): void;
}

/** The adapters as guests find them. Disposing ends them. */
interface UsbExposure extends Disposable {
  readonly presentation: string;
  /** The file that the control socket stands beside, if there is one. */
  readonly controlBase?: string;
  readonly access: FileAccess;
  /** Ends what guests have begun. */
  endSession(reason: string): void;
  /** Keeps the sessions of guests for the next process. */
  handOver(): void;
  /** Returns counters of all adapters. */
  count(): NonNullable<ExposureCounts["usb"]>;
}

/** Surroundings of the adapters. */
interface UsbExposureContext {
  readonly aggregator: Aggregator;
  readonly loop: EventLoop;
  /** Time of the guests in the loop, at all adapters. */
  readonly share: TimeShare;
  /** Permissions of sockets that are made, by default. */
  readonly mode: number;
  /** Keeps sessions across a restart. */
  readonly store?: SessionStore | undefined;
}

/** Requests of a guest, in the terms of virtio-gpio. */
const MESSAGE_TYPES: Readonly<Record<LineOperation, number>> = {
  [LineOperation.Deactivate]: MessageType.SetDirection,
  [LineOperation.Input]: MessageType.SetDirection,
  [LineOperation.Output]: MessageType.SetDirection,
  [LineOperation.GetValue]: MessageType.GetValue,
  [LineOperation.SetValue]: MessageType.SetValue,
  [LineOperation.SetEdges]: MessageType.SetIrqType,
};

type UsbModel = UsbredirSpecification["device"];

/** Time that a guest has to load its driver. **Units**: ms. */
const DRIVER_MS = 30_000;

/** Drivers that guests need, and how to do without. */
const DRIVERS: Readonly<Record<UsbModel, string>> = {
  ljca: "an LJCA needs usb-ljca and gpio-ljca, which kernels for x86-64 have " +
    "from Linux 6.7 on; cp2112 is the device for others",
  cp2112: "a CP2112 needs hid-cp2112",
};

/**
 * The guest of an aggregator, which may have several adapters. Disposing ends
 * the wait for its driver.
 */
class UsbGuest implements Disposable {
  readonly #aggregator: Aggregator;
  readonly #loop: EventLoop;
  readonly #report: UsbExposureEvents["report"];
  /** Model that a QEMU carries; absent: the adapters are the host kernel's. */
  readonly #model: UsbModel | undefined;
  /** Adapters that a guest uses. */
  readonly #used = new Set<Adapter>();
  #connections = 0;
  #driverWait: Timer | undefined;

  constructor(
    { aggregator, loop }: UsbExposureContext,
    model: UsbModel | undefined,
    report: UsbExposureEvents["report"],
  ) {
    this.#aggregator = aggregator;
    this.#loop = loop;
    this.#model = model;
    this.#report = report;
  }

  [Symbol.dispose](): void {
    this.#driverWait?.[Symbol.dispose]();
    this.#driverWait = undefined;
  }

  began(adapter: Adapter, isResumed: boolean): void {
    const isFirst = this.#used.size === 0;
    this.#used.add(adapter);
    if (!isFirst) return;
    // It has lost its device meanwhile, and with it what it made of the lines.
    const hasLost = !isResumed && this.#aggregator.awaitsGuest;
    if (hasLost) this.#aggregator.guestGone();
    this.#aggregator.guestBegan(isResumed);
    this.#report("started");
    if (isResumed || this.#model === undefined) return;
    this.#driverWait = this.#loop.after(DRIVER_MS, () => this.#missDriver());
  }

  /** A guest without a driver configures its devices all the same. */
  #missDriver(): void {
    this[Symbol.dispose]();
    if ([...this.#used].some(({ device }) => device.hasDriver)) return;
    this.#report(
      "fault",
      `no driver of the guest has used the adapter for ${DRIVER_MS / 1000} s: ${
        DRIVERS[this.#model!]
      } (gpioagg doctor --guest NAME)`,
    );
  }

  gone(adapter: Adapter): void {
    this.#used.delete(adapter);
    if (this.#used.size > 0) {
      const { firstLine, lineCount } = adapter;
      const { lines } = this.#aggregator;
      for (const line of lines.slice(firstLine, firstLine + lineCount)) {
        line.guestGone();
      }
      return;
    }
    this[Symbol.dispose]();
    this.#aggregator.guestGone();
    this.#report("stopped");
  }

  /** Events of one adapter's socket: a QEMU has one connection for each. */
  socketEvents(title: string): AdapterSocketEvents {
    const named = (text: string) =>
      title === "" || text === "" ? text : `${title}: ${text}`;
    return {
      connected: (detail) => {
        if (this.#connections++ === 0) this.#report("connected", detail);
      },
      disconnected: (reason) => {
        if (--this.#connections === 0) this.#report("disconnected", reason);
      },
      waiting: (who) => this.#report("waiting", named(who)),
      fault: (message) => this.#report("fault", named(message)),
    };
  }
}

/**
 * Presents the lines of an aggregator.
 *
 * @throws {Error} If a socket cannot be made.
 */
export function exposeUsb(
  specification: UsbredirSpecification,
  context: UsbExposureContext,
  events: UsbExposureEvents,
): UsbExposure {
  const { aggregator, loop, share, mode, store } = context;
  const { device, connects, access = {}, allowed, serial } = specification;
  using resources = new DisposableStack();
  const guest = resources.use(
    new UsbGuest(
      context,
      serial === undefined ? device : undefined,
      (event, detail) => events.report(event, detail),
    ),
  );
  const adapters = makeAdapters(
    device,
    serial ?? aggregator.name,
    aggregator.lines.map((port) => ({
      port,
      get rule() {
        return port.specification.direction;
      },
    })),
    loop,
    {
      began: (adapter, isResumed) => guest.began(adapter, isResumed),
      gone: (adapter) => guest.gone(adapter),
      answered: (lineNumber, operation, isOk, since) =>
        events.answered(lineNumber, MESSAGE_TYPES[operation], isOk, since),
      refused: (lineNumber) => {
        aggregator.lines[lineNumber]!.refuse("it is an input by rule");
      },
    },
    serial !== undefined,
  );
  const paths = usbredirSockets(specification, aggregator.lines.length);
  const kept = store && resources.use(
    new KeptAdapters(
      store,
      aggregator.lines.map(({ specification: { name, source } }) =>
        JSON.stringify([name, source])
      ),
      adapters.length,
    ),
  );
  const left = kept?.take() ?? new Map<number, ResumedHost>();
  resources.defer(() => {
    for (const { connection } of left.values()) connection.close();
  });
  const sockets: AdapterSocket[] = [];
  for (const [i, adapter] of adapters.entries()) {
    const path = paths[i]!;
    const options = {
      loop,
      share,
      device: adapter.device,
      events: guest.socketEvents(adapter.title),
      resumed: left.get(i),
      journal: kept?.journal(i),
    };
    // Its session owns the connection from here on.
    left.delete(i);
    const socket = connects === true
      ? new UsbredirConnector({
        ...options,
        path,
        ...(allowed === undefined ? {} : { allowed }),
      })
      : serveAdapter({
        ...options,
        listener: resources.use(listenFor(path, access, mode)).listener,
        protocol: serial === undefined ? USBREDIR : USBIP,
      });
    sockets.push(resources.use(socket));
  }
  const owned = resources.move();
  const [first] = paths;
  const kind = device === "ljca" ? "LJCA" : "CP2112";
  const what = paths.length === 1
    ? `as a USB adapter (${kind})`
    : `as ${paths.length} USB adapters (${kind})`;
  return {
    presentation:
      `${what} ${connects === true ? "in the QEMU behind" : "at"} ` +
      formatPaths(paths),
    // Beside a path that a client chose nothing is made.
    ...(allowed === undefined && serial === undefined
      ? { controlBase: first! }
      : {}),
    access,
    endSession: (reason) => {
      for (const socket of sockets) socket.endSession(reason);
    },
    handOver: () => {
      for (const socket of sockets) socket.keep();
    },
    count: () => sumCounts(adapters, aggregator.lines.length),
    [Symbol.dispose]: () => owned.dispose(),
  };
}

/** Returns paths that differ by a number, as a text. */
function formatPaths(paths: readonly string[]): string {
  return paths.length > 3
    ? `${paths[0]}, ${paths[1]}, … ${paths.at(-1)}`
    : paths.join(", ");
}

/** Returns the counters of all adapters, by lineNumber where that applies. */
function sumCounts(
  adapters: readonly Adapter[],
  lineCount: number,
): NonNullable<ExposureCounts["usb"]> {
  const counts = {
    invalid: 0,
    overflows: 0,
    lostEdges: new Float64Array(lineCount),
  };
  for (const { device: { counters }, firstLine } of adapters) {
    counts.invalid += counters.invalid;
    counts.overflows += counters.overflows;
    counts.lostEdges.set(counters.lostEdges, firstLine);
  }
  return counts;
}
