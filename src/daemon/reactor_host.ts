/**
 * What lives in the reactor: the aggregators with their devices and sockets,
 * put together here and taken apart again.
 *
 * @module
 */
import { Mapping } from "../../ffi/mapping.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { isListening } from "../../ffi/unix_socket.ts";
import { Aggregator, type SourceOpener } from "../aggregator/aggregator.ts";
import { LaneEndpoint } from "../aggregator/lane_line.ts";
import { SimLine } from "../aggregator/sim_line.ts";
import { SourceFactory } from "../aggregator/source_factory.ts";
import type { AggregatorSpecification } from "../config/specification.ts";
import type { EventLoop } from "../reactor/event_loop.ts";
import { VhostUserBackend } from "../vhost_user/backend.ts";
import { GpioDevice } from "../virtio/gpio_device.ts";
import { Direction, FAILED } from "../virtio/line_port.ts";
import {
  type ControlAnswer,
  controlPathOf,
  type ControlRequest,
} from "./control_protocol.ts";
import { ControlSocket } from "./control_socket.ts";
import { EventLimiter } from "./event_limiter.ts";
import { ListenSocket } from "./listen_socket.ts";
import type {
  AggregatorDescription,
  LaneHandover,
  ServiceEvent,
} from "./messages.ts";

/** Socket files are for their owner and group; the directory decides the rest. */
const SOCKET_MODE = 0o660;

/** What the host tells the outside. */
export interface HostEvents {
  /** Something happened to an aggregator. */
  service(event: ServiceEvent): void;
  /** The last aggregator that could serve anybody is gone. */
  idle(): void;
}

/** All that one reactor serves. */
export class ReactorHost implements Disposable {
  readonly #loop: EventLoop;
  readonly #events: HostEvents;
  readonly #served = new Map<string, Served>();
  readonly #sources: SourceFactory;

  /** Makes a host that serves nothing yet. */
  constructor(loop: EventLoop, events: HostEvents) {
    this.#loop = loop;
    this.#events = events;
    this.#sources = new SourceFactory(loop);
  }

  /**
   * Makes aggregators and serves them: all of them, or none.
   *
   * @throws {ConfigError} If they contradict each other.
   * @throws {Error} If a line or a socket cannot be had.
   */
  add(
    specifications: readonly AggregatorSpecification[],
    lanes: readonly LaneHandover[],
  ): AggregatorDescription[] {
    using made = new DisposableStack();
    const endpoints = lanes.map((lane) => this.#connectLane(lane));
    const added = specifications.map((specification) =>
      made.use(
        new Served(
          specification,
          this.#loop,
          (line) => this.#sources.open(line, specification.name, endpoints),
          this.#events,
          () => this.#over(specification.name),
        ),
      )
    );
    made.move();
    for (const served of added) this.#served.set(served.name, served);
    return added.map((served) => served.describe());
  }

  /** Ends everything: guests disconnected, lines as declared, sockets gone. */
  [Symbol.dispose](): void {
    for (const served of this.#served.values()) served[Symbol.dispose]();
    this.#served.clear();
  }

  #connectLane(lane: LaneHandover): LaneEndpoint {
    const memory = Mapping.map(lane.memoryFd, {
      length: lane.memoryBytes,
      writable: true,
      subject: "lane memory",
    });
    return new LaneEndpoint(this.#loop, {
      memory,
      wakeFd: lane.wakeFd,
      doneFd: lane.doneFd,
    });
  }

  #over(name: string): void {
    this.#served.get(name)?.[Symbol.dispose]();
    this.#served.delete(name);
    if (this.#served.size === 0) this.#events.idle();
  }
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

/** One aggregator with its device and its sockets. */
class Served implements Disposable {
  readonly name: string;
  readonly #socketPath: string | undefined;
  readonly #aggregator: Aggregator;
  readonly #resources: DisposableStack;
  readonly #events: EventLimiter;
  #connected = false;

  /** `onOver` is called when a connection that was given as an fd has ended. */
  constructor(
    specification: AggregatorSpecification,
    loop: EventLoop,
    openSource: SourceOpener,
    { service }: HostEvents,
    onOver: () => void,
  ) {
    this.name = specification.name;
    using resources = new DisposableStack();
    this.#events = resources.use(new EventLimiter(loop, service));
    const { vhostUser } = specification;
    const given = "fd" in vhostUser
      ? resources.use(new OwnedFd(vhostUser.fd, `fd ${vhostUser.fd}`))
      : undefined;
    this.#socketPath = "socketPath" in vhostUser
      ? vhostUser.socketPath
      : undefined;
    this.#aggregator = resources.use(
      Aggregator.open(specification, openSource),
    );
    const device = new AggregatorDevice(this.#aggregator);
    // Sockets last: whoever can connect finds the lines ready.
    const listen = this.#socketPath === undefined
      ? undefined
      : resources.use(ListenSocket.open(this.#socketPath, SOCKET_MODE));
    const isConnection = given !== undefined && !isListening(given.fd);
    resources.use(
      new VhostUserBackend({
        loop,
        device,
        name: this.name,
        endpoint: isConnection
          ? { connection: given }
          : { listener: listen?.listener ?? given! },
        events: {
          connected: () => this.#report("connected"),
          disconnected: (reason) => {
            this.#report("disconnected", reason);
            if (isConnection) loop.defer(onOver);
          },
          started: () => this.#report("started"),
          stopped: () => this.#report("stopped"),
          fault: (error) => this.#report("fault", error.message),
        },
      }),
    );
    if (this.#socketPath !== undefined) {
      const control = ListenSocket.open(
        controlPathOf(this.#socketPath),
        SOCKET_MODE,
      );
      resources.use(
        new ControlSocket(loop, control, (request) => this.#control(request)),
      );
    }
    this.#resources = resources.move();
  }

  describe(): AggregatorDescription {
    return {
      name: this.name,
      ...(this.#socketPath === undefined
        ? {}
        : { socketPath: this.#socketPath }),
      connected: this.#connected,
      lines: this.#aggregator.lines.map((line, lineNumber) => {
        const value = line.source.peek();
        return {
          lineNumber,
          name: line.name,
          source: line.source.description,
          direction: line.direction === Direction.Output ? "output" : "input",
          ...(value === FAILED ? {} : { value }),
        };
      }),
    };
  }

  [Symbol.dispose](): void {
    this.#resources[Symbol.dispose]();
  }

  #report(event: ServiceEvent["event"], detail = ""): void {
    if (event === "connected") this.#connected = true;
    if (event === "disconnected") this.#connected = false;
    this.#events.report({ aggregator: this.name, event, detail });
  }

  #control(request: ControlRequest): ControlAnswer {
    const changes = (request.pull ?? []).map(([name, level]) => {
      const line = this.#aggregator.find(name);
      if (line === undefined) {
        throw new RangeError(`cannot find line "${name}" of ${this.name}`);
      }
      if (!(line.source instanceof SimLine)) {
        throw new RangeError(
          `line "${name}" of ${this.name} is ${line.source.description}: ` +
            `only simulated lines can be pulled`,
        );
      }
      return { pin: line.source, level };
    });
    for (const { pin, level } of changes) pin.pull(level);
    return { aggregator: this.describe() };
  }
}
