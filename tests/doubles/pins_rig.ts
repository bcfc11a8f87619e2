/**
 * An exposure as pins in a loop of its own, with model lines on one side and
 * QEMU doubles that come and go on the other.
 *
 * @module
 */
import { helpersAreDone } from "../../ffi/helper_thread.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import type { PinRule } from "../../src/qemu/session_pin.ts";
import type { QemuPinsOptions } from "../../src/qemu/pins_options.ts";
import { QemuPins } from "../../src/qemu/qemu_pins.ts";
import { ModelPort } from "./model_port.ts";
import { type ControllerModelOptions, QemuDouble } from "./qemu_double.ts";

/** A controller of the `virt` board. */
export const PL061: ControllerModelOptions = {
  path: "/machine/soc/device[6]",
  type: "pl061",
  address: 0x1000_3000,
};
/** Options of a rig. */
export interface RigOptions extends Partial<QemuPinsOptions> {
  rules?: readonly PinRule[];
  board?: readonly ControllerModelOptions[];
  /**
   * Waits for closes in helper threads after each handler, so that what a peer
   * sees, and in which order, does not depend on when they have a CPU.
   */
  waitsForCloses?: boolean;
}

/** Turns in a row in which nothing was ready, after which nothing is. */
const IDLE_TURNS = 3;
/** Limit of the helper threads that close what was given. **Units**: ms. */
const HELPERS_LIMIT_MS = 30_000;

/** A reactor that counts what it serves. */
class CountingReactor extends Reactor {
  served = 0;
  /** Called after each handler. */
  handled = () => {};

  override watch(
    ...[fd, events, handler, share]: Parameters<Reactor["watch"]>
  ) {
    return super.watch(fd, events, (ready) => {
      this.served++;
      handler(ready);
      this.handled();
    }, share);
  }

  override after(ms: number, onElapsed: () => void) {
    return super.after(ms, () => {
      this.served++;
      onElapsed();
      this.handled();
    });
  }

  override defer(task: () => void) {
    super.defer(() => {
      this.served++;
      task();
      this.handled();
    });
  }
}

function waitForCloses(): void {
  if (!helpersAreDone(HELPERS_LIMIT_MS)) throw new Error("a close hangs");
}

/** An exposure of a few lines, and QEMUs that come and go. */
export function pinsRig(options: RigOptions = {}) {
  const {
    rules = ["any", "any"],
    board = [PL061],
    waitsForCloses = false,
    ...rest
  } = options;
  const directory = Deno.makeTempDirSync();
  const clock = { now: 0 };
  const stack = new DisposableStack();
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const loop = stack.use(
    new CountingReactor({
      onError: (error) => {
        throw error;
      },
      now: () => clock.now,
    }),
  );
  if (waitsForCloses) loop.handled = waitForCloses;
  const ports = rules.map(() => new ModelPort());
  const log: string[] = [];
  const requests: string[] = [];
  const pins = new QemuPins({
    loop,
    lines: ports.map((port, i) => ({ port, rule: rules[i]! })),
    qmpPath: `${directory}/qmp`,
    qtestPath: `${directory}/qtest`,
    device: "pl061",
    onGuestGone: () => log.push("gone"),
    events: {
      connected: () => log.push("connected"),
      disconnected: (reason) => log.push(`disconnected ${reason}`),
      started: () => log.push("started"),
      stopped: () => log.push("stopped"),
      fault: (error) => log.push(`fault ${error.message} (${error.hint})`),
      notice: (text) => log.push(`notice ${text}`),
      answered: (lineNumber, request, isOk, since) =>
        requests.push(
          `${lineNumber} ${request} ${isOk ? "ok" : "error"} after ` +
            `${clock.now - since} ms`,
        ),
      refused: (lineNumber) => log.push(`refused ${lineNumber}`),
    },
    now: () => clock.now,
    ...rest,
  });
  let qemu: QemuDouble | undefined;
  stack.defer(() => qemu?.[Symbol.dispose]());
  stack.use(pins);
  const rigged = {
    clock,
    log,
    requests,
    ports,
    port: ports[0]!,
    pins,
    directory,
    loop,
    /** Lets everything that is under way come to an end, in `times` turns. */
    turn(times = 60) {
      let idle = 0;
      for (let i = 0; i < times && idle < IDLE_TURNS; i++) {
        const { served } = loop;
        loop.turn(0);
        if (loop.served !== served) idle = 0;
        else if (++idle === 1) waitForCloses();
      }
    },
    /** Lets time pass, in steps that no deadline is skipped by. */
    pass(ms: number) {
      for (let i = 0; i < ms; i += 10) {
        clock.now += 10;
        rigged.turn(12);
      }
    },
    get qemu() {
      return qemu!;
    },
    /** Starts a QEMU and waits until it is found. */
    boot(prepare?: (qemu: QemuDouble) => void) {
      qemu = new QemuDouble(loop, directory, board);
      prepare?.(qemu);
      rigged.pass(1100);
      return qemu;
    },
    /** Ends the QEMU, as a kill does. */
    kill() {
      qemu?.[Symbol.dispose]();
      qemu = undefined;
      rigged.turn();
    },
    /** The calls of a port since the last time. */
    heard(port: ModelPort = ports[0]!) {
      return port.calls.splice(0).map(({ operation, argument }) => [
        operation,
        argument,
      ]);
    },
    [Symbol.dispose]: () => stack.dispose(),
  };
  return rigged;
}
