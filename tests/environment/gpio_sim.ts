/**
 * Chips of the kernel's GPIO simulator, made through configfs: by a test that
 * runs beside them ({@linkcode localFiles}) or from outside a test machine
 * ({@linkcode sessionFiles}).
 *
 * @module
 */
import { readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import {
  makeDirectory,
  removeDirectory,
  writeAttribute,
} from "../../ffi/sysfs.ts";
import {
  activeKernel,
  type GpioKernel,
} from "../doubles/gpio_kernel/kernel.ts";
import type { GuestSession } from "./guest_session.ts";

/** The few things that are done to configfs and sysfs. */
export interface FileAccess {
  /** Reads a small text file, without the white space at its end. */
  read(path: string): Promise<string>;
  /** Writes a text file that exists, or a new attribute. */
  write(path: string, text: string): Promise<void>;
  /** Makes a directory. */
  makeDirectory(path: string): Promise<void>;
  /** Removes an empty directory. */
  removeDirectory(path: string): Promise<void>;
  /** The names of the directories in a directory. */
  directories(path: string): Promise<string[]>;
}

/**
 * The files of the machine that this program runs on: not by Deno's own
 * functions, which open nothing in `/sys` unless everything is permitted.
 */
export const localFiles: FileAccess = {
  read: (path) => {
    const text = readSmallFile(path);
    if (text === undefined) throw new Error(`There is no ${path}`);
    return Promise.resolve(text.trimEnd());
  },
  write: (path, text) => {
    writeAttribute(path, text);
    return Promise.resolve();
  },
  makeDirectory: (path) => {
    makeDirectory(path);
    return Promise.resolve();
  },
  removeDirectory: (path) => {
    removeDirectory(path);
    return Promise.resolve();
  },
  directories: (path) => {
    const names = listDirectory(path).filter((name) =>
      fileStatus(`${path}/${name}`)?.kind === "directory"
    );
    return Promise.resolve(names);
  },
};

/** The files of a test machine. */
export function sessionFiles(session: GuestSession): FileAccess {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  return {
    read: async (path) => (await session.run(`cat ${quoted(path)}`)).trimEnd(),
    write: async (path, text) => {
      await session.run(`printf '%s' ${quoted(text)} > ${quoted(path)}`);
    },
    makeDirectory: async (path) => {
      await session.run(`mkdir ${quoted(path)}`);
    },
    removeDirectory: async (path) => {
      await session.run(`rmdir ${quoted(path)}`);
    },
    directories: async (path) => {
      const list = await session.run(
        `cd ${quoted(path)} && for d in */; do echo "\${d%/}"; done`,
      );
      return list.split("\n").filter((name) => name !== "*");
    },
  };
}

/** A simulated chip that is wanted. */
export interface SimChipOptions {
  /** The number of lines. */
  readonly lines: number;
  /** The chip's label. Default: made up by the kernel. */
  readonly label?: string;
  /** Names of lines, by offset. */
  readonly names?: Readonly<Record<number, string>>;
  /** Lines that the kernel holds, by offset: the consumer's name. */
  readonly hogs?: Readonly<Record<number, string>>;
}

/** A chip of the kernel double, with the calls of a simulated one. */
function simulated(kernel: GpioKernel, options: SimChipOptions): SimChip {
  const chip = kernel.addChip(options);
  const like: Pick<SimChip, keyof SimChip> = {
    name: chip.name,
    path: chip.path,
    // deno-lint-ignore require-await
    pull: async (offset, direction) => chip.pull(offset, direction),
    // deno-lint-ignore require-await
    level: async (offset) => chip.level(offset),
    // deno-lint-ignore require-await
    unplug: async () => chip.unplug(),
    // deno-lint-ignore require-await
    plug: async () => chip.plug(),
    // deno-lint-ignore require-await
    [Symbol.asyncDispose]: async () => chip[Symbol.dispose](),
  };
  // All that is public: the rest is the class's own.
  return like as SimChip;
}

const CONFIGFS = "/sys/kernel/config/gpio-sim";

let chipCount = 0;

/**
 * A simulated chip: a real `/dev/gpiochipN` whose lines can be pulled and
 * looked at from outside.
 *
 * **Ownership**: `await using` removes the chip.
 */
export class SimChip implements AsyncDisposable {
  readonly #files: FileAccess;
  readonly #directory: string;
  readonly #attributes: string;
  #isPlugged = true;
  /** The chip's name in the kernel, such as `gpiochip0`. */
  readonly name: string;

  private constructor(
    files: FileAccess,
    directory: string,
    attributes: string,
    name: string,
  ) {
    this.#files = files;
    this.#directory = directory;
    this.#attributes = attributes;
    this.name = name;
  }

  /**
   * Makes a chip and waits until the kernel has it.
   *
   * @throws {Error} when there is no GPIO simulator, or it refuses.
   */
  static async create(
    files: FileAccess,
    options: SimChipOptions,
  ): Promise<SimChip> {
    const double = activeKernel();
    if (double !== undefined && files === localFiles) {
      return simulated(double, options);
    }
    // Tests may run at the same time: unique names.
    const directory = `${CONFIGFS}/gpioagg-${Deno.pid}-${++chipCount}`;
    const bank = `${directory}/bank0`;
    await files.makeDirectory(directory);
    await files.makeDirectory(bank);
    await files.write(`${bank}/num_lines`, String(options.lines));
    if (options.label !== undefined) {
      await files.write(`${bank}/label`, options.label);
    }
    const lines = new Set([
      ...Object.keys(options.names ?? {}),
      ...Object.keys(options.hogs ?? {}),
    ].map(Number));
    for (const offset of lines) {
      const line = `${bank}/line${offset}`;
      await files.makeDirectory(line);
      const name = options.names?.[offset];
      if (name !== undefined) await files.write(`${line}/name`, name);
      const hog = options.hogs?.[offset];
      if (hog !== undefined) {
        await files.makeDirectory(`${line}/hog`);
        await files.write(`${line}/hog/name`, hog);
        await files.write(`${line}/hog/direction`, "input");
      }
    }
    await files.write(`${directory}/live`, "1");
    const name = await files.read(`${bank}/chip_name`);
    const device = await files.read(`${directory}/dev_name`);
    return new SimChip(
      files,
      directory,
      `/sys/devices/platform/${device}/${name}`,
      name,
    );
  }

  /** The chip's device node. */
  get path(): string {
    return `/dev/${this.name}`;
  }

  /** Pulls a line up or down: what an input reads. */
  async pull(offset: number, direction: "up" | "down"): Promise<void> {
    await this.#files.write(
      `${this.#attributes}/sim_gpio${offset}/pull`,
      `pull-${direction}`,
    );
  }

  /** The physical level of a line: what an output drives, or the pull. */
  async level(offset: number): Promise<0 | 1> {
    const text = await this.#files.read(
      `${this.#attributes}/sim_gpio${offset}/value`,
    );
    return text === "1" ? 1 : 0;
  }

  /**
   * Takes the chip away from under its users, as unplugging does, and leaves
   * its configuration. {@linkcode plug} brings it back.
   */
  async unplug(): Promise<void> {
    await this.#files.write(`${this.#directory}/live`, "0");
    this.#isPlugged = false;
  }

  /** Brings an unplugged chip back, under the name that is returned. */
  async plug(): Promise<string> {
    await this.#files.write(`${this.#directory}/live`, "1");
    this.#isPlugged = true;
    return await this.#files.read(`${this.#directory}/bank0/chip_name`);
  }

  /** Removes the chip. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isPlugged) await this.unplug();
    const bank = `${this.#directory}/bank0`;
    for (const line of await this.#files.directories(bank)) {
      for (const hog of await this.#files.directories(`${bank}/${line}`)) {
        await this.#files.removeDirectory(`${bank}/${line}/${hog}`);
      }
      await this.#files.removeDirectory(`${bank}/${line}`);
    }
    await this.#files.removeDirectory(bank);
    await this.#files.removeDirectory(this.#directory);
  }
}
