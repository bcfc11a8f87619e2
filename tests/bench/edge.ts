/**
 * From an edge on a simulated line to the guest's interrupt.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import type { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import {
  Direction,
  EventStatus,
  IrqType,
} from "../../src/virtio/gpio/protocol.ts";
import { type Round, summarize } from "./statistics.ts";

const LIMIT_MS = 5000;

/**
 * Moves line 0 to and fro by the control socket, with its interrupt armed;
 * leaves all interrupts of the device armed.
 *
 * **Units**: microseconds.
 *
 * @returns Times from the control request to the call, and, for comparison,
 * from a control request to its answer.
 */
export function edgesToCall(
  driver: GpioDriver,
  controlPath: string,
  count: number,
): { edge: Round; answer: Round } {
  for (let line = 0; line < driver.lineCount; line++) {
    driver.setDirection(line, Direction.Input);
    driver.setInterruptType(line, IrqType.EdgeBoth);
    driver.arm(line);
  }
  using control = new Control(controlPath);
  const edges = new Float64Array(count);
  const answers = new Float64Array(count);
  control.ask(PULL_LOW);
  while (driver.waitEvent(100) !== undefined) driver.arm(0);
  for (let i = 0; i < count; i++) {
    const level = i & 1 ? 0 : 1;
    const before = performance.now();
    control.send(level === 1 ? PULL_HIGH : PULL_LOW);
    const event = driver.waitEvent(LIMIT_MS);
    edges[i] = (performance.now() - before) * 1000;
    if (event?.lineNumber !== 0 || event.status !== EventStatus.Valid) {
      throw new Error(
        `The edge of line 0 to ${level} brought no interrupt but ` +
          JSON.stringify(event ?? null),
      );
    }
    control.answer();
    driver.arm(0);
    const asked = performance.now();
    control.ask(PULL_NOTHING);
    answers[i] = (performance.now() - asked) * 1000;
  }
  return { edge: summarize(edges), answer: summarize(answers) };
}

const encoder = new TextEncoder();
const PULL_HIGH = encoder.encode('{"pull":[["0",1]]}\n');
const PULL_LOW = encoder.encode('{"pull":[["0",0]]}\n');
const PULL_NOTHING = encoder.encode("{}\n");
const NEWLINE = 10;

/** The control socket without any work around the bytes. */
class Control implements Disposable {
  readonly #socket: OwnedFd;
  readonly #piece = new Uint8Array(64 * 1024);

  constructor(path: string) {
    this.#socket = connectUnix(path);
  }

  send(request: Uint8Array): void {
    if (send(this.#socket.fd, request) !== request.length) {
      throw new Error("The control socket takes no request");
    }
  }

  /** Waits for the end of an answer. */
  answer(): void {
    for (let last = 0; last !== NEWLINE;) {
      if (pollFd(this.#socket.fd, POLLIN, LIMIT_MS) === 0) {
        throw new Error(`No control answer within ${LIMIT_MS / 1000} s`);
      }
      const count = receive(this.#socket.fd, this.#piece, []);
      if (count === 0) throw new Error("The control socket was closed");
      if (count > 0) last = this.#piece[count - 1]!;
    }
  }

  ask(request: Uint8Array): void {
    this.send(request);
    this.answer();
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
