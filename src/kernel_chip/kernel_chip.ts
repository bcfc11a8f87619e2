/**
 * A chip of this host's kernel, made of lines of its other chips, that goes
 * away with the process that made it.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import type { LineSpecification } from "../config/specification.ts";
import {
  checkForSysfs,
  chooseInterface,
  type Interface,
  isBound,
} from "./driver.ts";
import { readHostChips } from "./host_chips.ts";
import { collectGarbage, endChip, isForbidden } from "./janitor.ts";
import { type MadeChip, makeChip } from "./making.ts";
import { type NodeAccessOptions, readNodeAccess } from "./node_access.ts";
import { isDeviceThere } from "./own_device.ts";
import { identityOf } from "./process_identity.ts";
import {
  checkName,
  type ChipRecord,
  holderOf,
  newId,
  Records,
} from "./records.ts";
import { resolveLines } from "./resolve.ts";
import { checkKernelLines } from "./rules.ts";

/** What chip is wanted. */
export interface KernelChipOptions extends NodeAccessOptions {
  /** What messages and `gpioagg kernel` call it. Default: `agg0`, `agg1`, … */
  readonly name?: string;
  /** Its lines, in order. */
  readonly lines: readonly LineSpecification[];
  /** Which interface of the driver's; default: the better one that is there. */
  readonly interface?: Interface;
  /** Whether it is to outlive this process. */
  readonly isDetached?: boolean;
  /** Where records are kept. */
  readonly runtimeDirectory?: string;
}

/**
 * A chip that this process made.
 *
 * **Ownership**: disposing takes the chip down, unless it is detached. When the
 * process dies without that, a guardian does it, and if that died too, the next
 * start of any gpioagg that makes a chip, or `gpioagg kernel gc`.
 */
export class KernelChip implements AsyncDisposable {
  readonly #records: Records;
  readonly #made: MadeChip;
  #isOver = false;

  private constructor(records: Records, made: MadeChip) {
    this.#records = records;
    this.#made = made;
  }

  /** What is known of it. */
  get record(): ChipRecord {
    return this.#made.record;
  }

  /** Its device node: `/dev/gpiochip3`. */
  get path(): string {
    return this.record.path!;
  }

  /** Its label, the kernel's name for it: `gpio-aggregator.0`. */
  get label(): string {
    return this.#made.label;
  }

  /**
   * Makes a chip and waits until it can be opened. Takes down first what dead
   * makers left. When something is missing, nothing remains.
   *
   * @throws {ConfigError} If the kernel's aggregator cannot do what is asked.
   * @throws {Error} If the kernel has no aggregator, a line cannot be had, or
   * rights are missing.
   */
  static async create(options: KernelChipOptions): Promise<KernelChip> {
    checkKernelLines(options.lines);
    if (options.lines.length === 0) {
      throw new ConfigError("a chip has at least one line", {
        path: "--line",
        hint: "Name lines with --line SPEC",
      });
    }
    if (options.name !== undefined) checkName(options.name);
    const access = readNodeAccess(options);
    const chosen = chooseInterface(options.interface);
    const records = new Records(options.runtimeDirectory);
    try {
      using _lock = await records.lock();
      // What would not go is told of by gc; here its lines are busy at worst.
      await collectGarbage(records);
      const name = await freeName(records, options.name);
      const lines = resolveLines(options.lines, readHostChips());
      if (chosen === "sysfs") checkForSysfs(lines);
      const intent: ChipRecord = {
        name,
        id: newId(name),
        interface: chosen,
        maker: identityOf(Deno.pid)!,
        isDetached: options.isDetached ?? false,
        lines: lines.map(({ name, chip, chipOffset, key, offset }) => ({
          // The sysfs interface has no names.
          name: chosen === "sysfs" ? "" : name,
          chip,
          chipOffset,
          key,
          offset,
        })),
      };
      const made = await makeChip(records, intent, lines, access);
      // Nobody needs to know how long the maker of such a chip lives.
      if (intent.isDetached) made.lifeMark[Symbol.dispose]();
      return new KernelChip(records, made);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      throw new Error(
        `Cannot make a chip: ${(error as Error).message}; that takes root's ` +
          `rights`,
        { cause: error },
      );
    }
  }

  /** Whether the chip is still there: somebody may have taken it down. */
  get isPresent(): boolean {
    return isDeviceThere(this.record) && isBound(this.record.device!);
  }

  /** Takes the chip down, unless it is detached. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver || this.record.isDetached) return;
    await endChip(this.#records, this.record);
    this.#isOver = true;
    await this.#made.guardian?.[Symbol.asyncDispose]();
    this.#made.lifeMark[Symbol.dispose]();
  }
}

async function freeName(
  records: Records,
  wanted: string | undefined,
): Promise<string> {
  const taken = new Map(
    (await records.list()).map((record) => [record.name, record]),
  );
  if (wanted === undefined) {
    let n = 0;
    while (taken.has(`agg${n}`)) n++;
    return `agg${n}`;
  }
  const other = taken.get(wanted);
  if (other === undefined) return wanted;
  const whose = {
    detached: "is there to stay",
    held: `${holderOf(other)} holds`,
    orphaned: "a dead process left, and that would not go",
  };
  throw new ConfigError(
    `the name "${wanted}" is taken by a chip that ${whose[other.state]}`,
    { path: "--name", hint: "gpioagg kernel list shows the chips" },
  );
}
