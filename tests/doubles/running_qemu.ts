/**
 * A QEMU that is a model, served beside an asynchronous test.
 *
 * @module
 */
import { Reactor } from "../../src/reactor/reactor.ts";
import { type ControllerModelOptions, QemuDouble } from "./qemu_double.ts";

/** Interval of looks at its sockets. */
const TURN_MS = 1;

/** The PL061 of QEMU's `virt` board. */
export const VIRT_PL061: ControllerModelOptions = {
  path: "/machine/soc/device[6]",
  type: "pl061",
  address: 0x900_3000,
};

/** A running model. Disposing ends it, as killing a QEMU does. */
export class RunningQemu implements Disposable {
  readonly model: QemuDouble;
  readonly #reactor: Reactor;
  readonly #timer: ReturnType<typeof setInterval>;

  /** Starts it: its sockets are `qtest` and `qmp` in `directory`. */
  constructor(
    directory: string,
    controllers: readonly ControllerModelOptions[] = [VIRT_PL061],
  ) {
    this.#reactor = new Reactor({
      onError: (error) => {
        throw error;
      },
    });
    this.model = new QemuDouble(this.#reactor, directory, controllers);
    this.#timer = setInterval(() => this.#reactor.turn(0), TURN_MS);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.model[Symbol.dispose]();
    this.#reactor[Symbol.dispose]();
  }
}
