/**
 * A simulated chip that is unplugged and comes back under another number.
 *
 * @module
 */
import {
  activeKernel,
  type GpioKernel,
} from "../doubles/gpio_kernel/kernel.ts";
import { localFiles } from "../environment/gpio_sim.ts";

const CONFIGFS = "/sys/kernel/config/gpio-sim";

/** A simulated chip that can be found again under whatever number it has. */
export class MovingChip implements AsyncDisposable {
  readonly #directory: string;
  #attributes = "";
  /** Its present name: `gpiochip0`. */
  name = "";

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Makes the chip and plugs it in. */
  static async create(label: string, lines: number): Promise<MovingChip> {
    const double = activeKernel();
    if (double !== undefined) return moving(double, label, lines);
    const directory = `${CONFIGFS}/moving-${label}`;
    await localFiles.makeDirectory(directory);
    await localFiles.makeDirectory(`${directory}/bank0`);
    await localFiles.write(`${directory}/bank0/num_lines`, String(lines));
    await localFiles.write(`${directory}/bank0/label`, label);
    const chip = new MovingChip(directory);
    await chip.plug();
    return chip;
  }

  /** Brings the chip, under the first number that is free. */
  async plug(): Promise<void> {
    await localFiles.write(`${this.#directory}/live`, "1");
    this.name = await localFiles.read(`${this.#directory}/bank0/chip_name`);
    const device = await localFiles.read(`${this.#directory}/dev_name`);
    this.#attributes = `/sys/devices/platform/${device}/${this.name}`;
  }

  /** Takes the chip away from under its users. */
  async unplug(): Promise<void> {
    await localFiles.write(`${this.#directory}/live`, "0");
  }

  /** Pulls a line: what an input reads. */
  async pull(offset: number, direction: "up" | "down"): Promise<void> {
    await localFiles.write(
      `${this.#attributes}/sim_gpio${offset}/pull`,
      `pull-${direction}`,
    );
  }

  /** The physical level of a line. */
  async level(offset: number): Promise<number> {
    return Number(
      await localFiles.read(`${this.#attributes}/sim_gpio${offset}/value`),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unplug();
    await localFiles.removeDirectory(`${this.#directory}/bank0`);
    await localFiles.removeDirectory(this.#directory);
  }
}

/** A chip of the kernel double, with the calls of a moving one. */
function moving(kernel: GpioKernel, label: string, lines: number): MovingChip {
  const chip = kernel.addChip({ label, lines });
  const like: Pick<MovingChip, keyof MovingChip> = {
    name: chip.name,
    // deno-lint-ignore require-await
    plug: async () => void (like.name = chip.plug()),
    // deno-lint-ignore require-await
    unplug: async () => chip.unplug(),
    // deno-lint-ignore require-await
    pull: async (offset, direction) => chip.pull(offset, direction),
    // deno-lint-ignore require-await
    level: async (offset) => chip.level(offset),
    // deno-lint-ignore require-await
    [Symbol.asyncDispose]: async () => chip[Symbol.dispose](),
  };
  // All that is public: the rest is the class's own.
  return like as MovingChip;
}
