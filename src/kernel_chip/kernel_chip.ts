/**
 * A chip of this host's kernel, made of lines of its other chips, that goes
 * away with the process that made it.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import { ConfigError } from "../config/config_error.ts";
import type { LineSpecification } from "../config/specification.ts";
import { Chip } from "../gpio/chip.ts";
import {
  askThroughSysfs,
  checkForSysfs,
  chooseInterface,
  CONFIGFS,
  endThroughSysfs,
  inodeOf,
  type Interface,
  isBound,
  listDevices,
  makeThroughConfigfs,
  nodeOf,
} from "./driver.ts";
import { Guardian } from "./guardian.ts";
import { collectGarbage, endChip, holderOf, isForbidden } from "./janitor.ts";
import {
  grantAccess,
  type NodeAccessOptions,
  readNodeAccess,
} from "./node_access.ts";
import { identityOf } from "./process_identity.ts";
import { checkName, type ChipRecord, Records, stateOf } from "./records.ts";
import { readHostChips } from "./host_chips.ts";
import { type KernelLine, resolveLines } from "./resolve.ts";
import { checkKernelLines } from "./rules.ts";
import { until } from "./until.ts";

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

/** How long the chip and its node may take to appear. */
const APPEARANCE_LIMIT_MS = 5000;

/**
 * A chip that this process made.
 *
 * **Ownership**: disposing takes the chip down, unless it is detached. When the
 * process dies without that, a guardian does it, and if that died too, the next
 * start of any gpioagg that makes a chip, or `gpioagg kernel gc`.
 */
export class KernelChip implements AsyncDisposable {
  readonly #records: Records;
  readonly #guardian: Guardian | undefined;
  /** What is known of it. */
  readonly record: ChipRecord;
  /** Its device node: `/dev/gpiochip3`. */
  readonly path: string;
  /** Its label, the kernel's name for it: `gpio-aggregator.0`. */
  readonly label: string;
  #isOver = false;

  private constructor(
    records: Records,
    guardian: Guardian | undefined,
    record: ChipRecord,
    path: string,
    label: string,
  ) {
    this.#records = records;
    this.#guardian = guardian;
    this.record = record;
    this.path = path;
    this.label = label;
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
      await collectGarbage(records);
      const name = await freeName(records, options.name);
      const lines = resolveLines(options.lines, readHostChips());
      if (chosen === "sysfs") checkForSysfs(lines);
      return await make(records, {
        name,
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
        ...(chosen === "configfs"
          ? { configfs: `${CONFIGFS}/${name}.${Deno.pid}` }
          : {}),
      }, lines);
    } catch (error) {
      if (!isForbidden(error)) throw error;
      throw new Error(
        `Cannot make a chip: ${(error as Error).message}; that takes root's ` +
          `rights`,
        { cause: error },
      );
    }

    async function make(
      records: Records,
      intent: ChipRecord,
      lines: readonly KernelLine[],
    ): Promise<KernelChip> {
      await records.write(intent);
      let record = intent;
      let guardian: Guardian | undefined;
      try {
        if (!intent.isDetached) {
          guardian = Guardian.start(records.pathOf(intent), intent.configfs);
          record = { ...record, guardian: guardian.identity };
          await records.write(record);
        }
        const device = intent.configfs === undefined
          ? await viaSysfs(lines)
          : viaConfigfs(intent.configfs, lines);
        record = { ...record, device, inode: inodeOf(device) ?? "" };
        await records.write(record);
        const path = await nodeWhenThere(device);
        await grantAccess(path, access);
        record = { ...record, path };
        await records.write(record);
        using chip = Chip.open(path);
        return new KernelChip(records, guardian, record, path, chip.label);
      } catch (error) {
        endChip(record);
        await records.remove(record);
        await guardian?.[Symbol.asyncDispose]();
        throw error;
      }
    }
  }

  /** Whether the chip is still there: somebody may have taken it down. */
  get isPresent(): boolean {
    const { device, inode } = this.record;
    return inodeOf(device!) === inode && isBound(device!);
  }

  /** Takes the chip down, unless it is detached. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver || this.record.isDetached) return;
    endChip(this.record);
    this.#isOver = true;
    await this.#records.remove(this.record);
    await this.#guardian?.[Symbol.asyncDispose]();
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
  throw new ConfigError(
    `the name "${wanted}" is taken by a chip that ` +
      (stateOf(other) === "detached"
        ? "is there to stay"
        : `process ${other.maker.pid} holds`),
    { path: "--name", hint: "gpioagg kernel list shows the chips" },
  );
}

function viaConfigfs(
  directory: string,
  lines: readonly KernelLine[],
): string {
  try {
    return makeThroughConfigfs(directory, lines);
  } catch (error) {
    // ENXIO, and EINVAL before it: the driver could not get the lines.
    if (!isOsError(error, "ENXIO", "EINVAL", "ENODEV")) throw error;
    throw refused(lines, error);
  }
}

async function viaSysfs(lines: readonly KernelLine[]): Promise<string> {
  const before = listDevices();
  askThroughSysfs(lines);
  const recorded = { lines };
  let device: string | undefined;
  const isThere = await until(() => {
    device = holderOf(recorded);
    return device !== undefined && isBound(device);
  }, APPEARANCE_LIMIT_MS);
  if (isThere) return device!;
  // The device waits for lines that it cannot have: it must not get them when
  // nobody expects it any more. The one that is new and waits is ours.
  const waiting = listDevices().filter((name) =>
    !before.includes(name) && !isBound(name)
  );
  if (waiting.length === 1) {
    endThroughSysfs(waiting[0]!, inodeOf(waiting[0]!) ?? "");
  }
  throw refused(
    lines,
    new Error(
      `no chip appeared within ${APPEARANCE_LIMIT_MS / 1000} s` +
        (waiting.length > 1
          ? `; one of ${waiting.join(", ")} may be left: write it to ` +
            `/sys/bus/platform/drivers/gpio-aggregator/delete_device`
          : ""),
    ),
  );
}

/** Says why the driver did not take the lines, as far as that can be seen. */
function refused(lines: readonly KernelLine[], cause: Error): Error {
  const chips = new Map(readHostChips().map((chip) => [chip.name, chip]));
  for (const { title, chip, chipOffset } of lines) {
    const line = chips.get(chip)?.lines[chipOffset];
    const problem = line === undefined
      ? "is gone"
      : line.used
      ? `is busy (EBUSY), held by "${line.consumer}"`
      : undefined;
    if (problem !== undefined) {
      return new Error(
        `Cannot have ${title}: ${chip} line ${chipOffset} ${problem}`,
        { cause },
      );
    }
  }
  return new Error(
    `The kernel's aggregator did not take the lines: ${cause.message}. Its ` +
      `own messages may say more: dmesg | grep gpio-aggregator`,
    { cause },
  );
}

async function nodeWhenThere(device: string): Promise<string> {
  let path: string | undefined;
  if (
    await until(
      () => (path = nodeOf(device)) !== undefined,
      APPEARANCE_LIMIT_MS,
    )
  ) return path!;
  throw new Error(
    `${device} is there, but no device node in /dev was seen within ` +
      `${
        APPEARANCE_LIMIT_MS / 1000
      } s: does this machine have devtmpfs or udev?`,
  );
}
