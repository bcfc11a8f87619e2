/**
 * The process between the kernel's host controller and a service: it attaches
 * devices, and passes their messages on.
 *
 * It is a process of its own, and uses no line of any chip: a process that waits
 * inside the kernel for an answer of its own cannot be killed, and its chip
 * stays. This one always can be, and with it goes the chip.
 *
 * @module
 */
import { EPOLLIN, EPOLLOUT } from "../../ffi/epoll.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { receiveBytes, send } from "../../ffi/socket_message.ts";
import { connectUnix, socketPair } from "../../ffi/unix_socket.ts";
import type { EventLoop, Timer, Watch } from "../reactor/event_loop.ts";
import { Reactor } from "../reactor/reactor.ts";
import type { AnswerBuffer } from "./answer_buffer.ts";
import { attach } from "./host_controller.ts";
import { MAX_BACKLOG, Relay } from "./relay.ts";

/** Interval of looks at deadlines, while there are any. **Units**: ms. */
const LOOK_MS = 200;

/** Reason for an end that another program has ordered, such as one that suspends. */
export const DETACHED = "the kernel has detached the device";

/** Report of the process, a line of JSON on its standard output. */
export type RelayReport =
  | { readonly kind: "attached"; readonly ports: readonly number[] }
  | { readonly kind: "ended"; readonly reason: string };

/** Options of {@linkcode relayDevices}. */
interface RelayOptions {
  /** The controller's `attach`, open for writing; absent: it is opened. */
  readonly attachFd?: number | undefined;
  /**
   * Gives the kernel a socket, and returns the port; tests bring their own.
   */
  readonly attachDevice?: (fd: number, loop: EventLoop) => number;
}

/**
 * Attaches the device behind each of the sockets, and relays until one of them
 * ends.
 *
 * **Blocking**: its thread, until then.
 */
export function relayDevices(
  paths: readonly string[],
  report: (report: RelayReport) => void,
  {
    attachFd,
    attachDevice = (fd) => attach(fd, undefined, attachFd).port,
  }: RelayOptions = {},
): void {
  let failure: unknown;
  using loop = new Reactor({
    onError: (error) => {
      failure ??= error;
      loop.stop();
    },
  });
  const end = (reason: string) => {
    report({ kind: "ended", reason });
    loop.stop();
  };
  using relays = new DisposableStack();
  const ports = paths.map((path) => {
    const service = connectUnix(path, { descriptors: false });
    const [ours, theirs] = socketPair();
    relays.use(new RunningRelay(loop, service, ours, end));
    using _theirs = theirs;
    return attachDevice(theirs.fd, loop);
  });
  report({ kind: "attached", ports });
  loop.run();
  if (failure !== undefined) throw failure;
}

/** One device. **Ownership**: of both connections. */
class RunningRelay implements Disposable {
  readonly #relay = new Relay(() => performance.now());
  readonly #loop: EventLoop;
  readonly #service: OwnedFd;
  readonly #kernel: OwnedFd;
  readonly #serviceWatch: Watch;
  readonly #kernelWatch: Watch;
  readonly #end: (reason: string) => void;
  #timer: Timer | undefined;
  #isOver = false;

  constructor(
    loop: EventLoop,
    service: OwnedFd,
    kernel: OwnedFd,
    end: (reason: string) => void,
  ) {
    this.#loop = loop;
    this.#service = service;
    this.#kernel = kernel;
    this.#end = end;
    this.#serviceWatch = loop.watch(service.fd, EPOLLIN, () => this.#work());
    this.#kernelWatch = loop.watch(kernel.fd, EPOLLIN, () => this.#work());
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#timer?.[Symbol.dispose]();
    this.#serviceWatch[Symbol.dispose]();
    this.#kernelWatch[Symbol.dispose]();
    this.#kernel.close();
    this.#service.close();
  }

  #work(): void {
    if (this.#isOver) return;
    const relay = this.#relay;
    try {
      const fromService = receiveBytes(this.#service.fd, relay.serviceRoom);
      if (fromService === 0) {
        return this.#over("the service has closed the connection");
      }
      if (fromService > 0) relay.serviceSent(fromService);
      if (relay.toService.backlog < MAX_BACKLOG) {
        const fromKernel = receiveBytes(this.#kernel.fd, relay.kernelRoom);
        if (fromKernel === 0) {
          return this.#over(DETACHED);
        }
        if (fromKernel > 0) relay.kernelSent(fromKernel);
      }
      this.#flush();
    } catch (error) {
      if (!isOsError(error, "EPIPE", "ECONNRESET")) throw error;
      return this.#over("a connection was closed");
    }
    if (relay.fault !== "") return this.#over(relay.fault);
    if (this.#timer === undefined && relay.hasDeadline) this.#lookLater();
  }

  #lookLater(): void {
    this.#timer = this.#loop.after(LOOK_MS, () => {
      this.#timer = undefined;
      this.#relay.tick();
      this.#work();
    });
  }

  #flush(): void {
    const { toKernel, toService } = this.#relay;
    sendAll(this.#kernel, toKernel);
    sendAll(this.#service, toService);
    this.#kernelWatch.update(
      (toService.backlog < MAX_BACKLOG ? EPOLLIN : 0) |
        (toKernel.backlog > 0 ? EPOLLOUT : 0),
    );
    this.#serviceWatch.update(
      EPOLLIN | (toService.backlog > 0 ? EPOLLOUT : 0),
    );
  }

  #over(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#end(reason);
  }
}

function sendAll(to: OwnedFd, buffer: AnswerBuffer): void {
  while (buffer.backlog > 0) {
    const count = send(to.fd, buffer.waiting);
    if (count < 0) return;
    buffer.sent(count);
  }
}
