/**
 * A chip of this host's kernel, made of lines of its other chips, that is
 * removed with the process that made it.
 *
 * @module
 */
import { ConfigError } from "../config/document/config_error.ts";
import type { LineSpecification } from "../config/specification.ts";
import {
  checkForSysfs,
  chooseInterface,
  type Interface,
  isBound,
} from "./driver.ts";
import { readHostChips } from "./host_chips.ts";
import { collectGarbage, endChip, isForbidden } from "./cleanup.ts";
import { lostChips } from "./lost_chips.ts";
import { type MadeChip, makeChip } from "./making.ts";
import { type NodeAccessOptions, readNodeAccess } from "./node_access.ts";
import { isDeviceThere } from "./own_device.ts";
import { identifyProcess } from "./process_identity.ts";
import { type ChipRecord, describeHolder, newId, Records } from "./records.ts";
import { resolveLines } from "./resolve.ts";
import {
  checkKernelLines,
  checkKernelNames,
} from "../config/checks/kernel_lines.ts";
import { Problems } from "../config/document/problems.ts";
import { CHIP_NAME, readValue } from "../config/values/values.ts";

/** Options of a kernel chip. */
interface KernelChipOptions extends NodeAccessOptions {
  /** Name in messages and for `gpioagg kernel`. Default: `agg0`, `agg1`, … */
  readonly name?: string | undefined;
  /** Its lines, in order. */
  readonly lines: readonly LineSpecification[];
  /** Interface of the driver; default: the better available one. */
  readonly interface?: Interface | undefined;
  /** Lets it outlive this process. */
  readonly isDetached?: boolean | undefined;
  /** Directory of the records. */
  readonly runtimeDirectory?: string | undefined;
}

/**
 * A chip that this process made.
 *
 * **Ownership**: disposing removes the chip, unless it is detached. When the
 * process dies without that, a guardian does it; if that died too, the next
 * gpioagg that makes a chip, or `gpioagg kernel gc`, does.
 */
export class KernelChip implements AsyncDisposable {
  readonly #records: Records;
  readonly #made: MadeChip;
  #isOver = false;

  private constructor(records: Records, made: MadeChip) {
    this.#records = records;
    this.#made = made;
  }

  /** Record of the chip. */
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
   * Makes a chip and waits until it can be opened. First removes chips of dead
   * makers. On failure nothing remains.
   *
   * @throws {ConfigError} If the kernel's aggregator does not support the
   * lines.
   * @throws {Error} If the kernel has no aggregator, a line cannot be
   * requested, or permission is missing.
   */
  static async create(options: KernelChipOptions): Promise<KernelChip> {
    const problems = new Problems();
    checkKernelLines(options.lines, problems);
    checkKernelNames(options.lines, problems);
    if (options.name !== undefined) checkName(options.name, problems);
    problems.throwFirst();
    if (options.lines.length === 0) {
      throw new ConfigError("a chip must have at least one line", {
        path: "--line",
        hint: "Add lines with --line SPEC",
      });
    }
    const access = readNodeAccess(options);
    const chosen = chooseInterface(options.interface);
    const records = new Records(options.runtimeDirectory);
    try {
      using _lock = await records.lock();
      // gc reports a chip that cannot be removed; here its lines are busy at
      // worst.
      await collectGarbage(records);
      const name = await freeName(records, options.name);
      const lines = resolveLines(options.lines, readHostChips());
      if (chosen === "sysfs") checkForSysfs(lines);
      const intent: ChipRecord = {
        name,
        id: newId(name),
        interface: chosen,
        maker: identifyProcess(Deno.pid)!,
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
      // The lifetime of such a chip's maker does not matter.
      if (intent.isDetached) made.livenessLock[Symbol.dispose]();
      return new KernelChip(records, made);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      throw new Error(
        `Cannot make a chip: ${(error as Error).message}; that requires root ` +
          `rights`,
        { cause: error },
      );
    }
  }

  /** True while the chip exists: another program may have removed it. */
  get isPresent(): boolean {
    return isDeviceThere(this.record) && isBound(this.record.device!);
  }

  /** Chips behind it that it has lost, by name; see {@linkcode lostChips}. */
  get lostChips(): string[] {
    return lostChips(this.record);
  }

  /** Removes the chip, unless it is detached. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver || this.record.isDetached) return;
    await endChip(this.#records, this.record);
    this.#isOver = true;
    await this.#made.guardian?.[Symbol.asyncDispose]();
    this.#made.livenessLock[Symbol.dispose]();
  }
}

function checkName(name: string, problems: Problems): void {
  readValue(CHIP_NAME, name, problems.at({ path: "--name" }));
}

/**
 * Returns the name of a new chip: the wanted one, or the first free one.
 *
 * @throws {ConfigError} If it is invalid or taken.
 */
export async function freeName(
  records: Records,
  wanted: string | undefined,
): Promise<string> {
  const problems = new Problems();
  // It becomes a part of a path.
  if (wanted !== undefined) checkName(wanted, problems);
  problems.throwFirst();
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
    detached: "is detached",
    held: `${describeHolder(other)} holds`,
    orphaned: "a dead process left, and that could not be removed",
  };
  throw new ConfigError(
    `the name "${wanted}" is taken by a chip that ${whose[other.state]}`,
    { path: "--name", hint: "gpioagg kernel list shows the chips" },
  );
}
