/**
 * The steps of making a chip. If they are interrupted, even by SIGKILL between
 * any two, what was made so far is known to a process that removes it: this
 * process, its guardian, or the next `gpioagg kernel gc` by the record.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import { Chip } from "../gpio/chip.ts";
import {
  deviceMarks,
  fillGroup,
  findChipName,
  findNode,
  isBound,
  makeGroup,
  readInode,
  requestThroughSysfs,
} from "./driver.ts";
import { Guardian } from "./guardian.ts";
import { readHostChips } from "./host_chips.ts";
import { endChip } from "./cleanup.ts";
import type { LivenessLock } from "./liveness_lock.ts";
import { grantAccess, type NodeAccess } from "./node_access.ts";
import { findNewDevice, holdsExactly, listOtherMarks } from "./own_device.ts";
import { type ChipRecord, groupPath, type Records } from "./records.ts";
import type { KernelLine } from "./resolve.ts";
import { waitUntil } from "../async/wait.ts";

/** A chip that was made, and its guardian. */
export interface MadeChip {
  readonly record: ChipRecord;
  /** Its label, the kernel's name for it: `gpio-aggregator.0`. */
  readonly label: string;
  /** A detached chip has no guardian. */
  readonly guardian: Guardian | undefined;
  readonly livenessLock: LivenessLock;
}

/** Limit of the appearance of the chip and its node. */
const APPEARANCE_LIMIT_MS = 5000;

/**
 * Makes the chip that a record describes and waits until it can be opened. The
 * records must be locked.
 *
 * @throws {Error} If a step fails; then nothing remains.
 */
export async function makeChip(
  records: Records,
  intent: ChipRecord,
  lines: readonly KernelLine[],
  access: NodeAccess,
): Promise<MadeChip> {
  const making = new Making(records, intent, lines);
  try {
    return await making.run(access);
  } catch (error) {
    return await making.undo(error as Error);
  }
}

class Making {
  readonly #records: Records;
  readonly #lines: readonly KernelLine[];
  #record: ChipRecord;
  #livenessLock: LivenessLock | undefined;
  #guardian: Guardian | undefined;

  constructor(
    records: Records,
    intent: ChipRecord,
    lines: readonly KernelLine[],
  ) {
    this.#records = records;
    this.#record = intent;
    this.#lines = lines;
  }

  async run(access: NodeAccess): Promise<MadeChip> {
    const livenessLock = this.#livenessLock = this.#records.begin(this.#record);
    const isConfigfs = this.#record.interface === "configfs";
    const group = groupPath(this.#record);
    await this.#note({});
    if (!this.#record.isDetached) {
      this.#guardian = Guardian.start(
        this.#records.recordPath(this.#record),
        isConfigfs ? group : undefined,
      );
      await this.#note({ guardian: this.#guardian.identity });
    }
    if (isConfigfs) await this.#requestThroughConfigfs(group);
    else await this.#requestThroughSysfs();
    const path = await this.#waitForNode();
    const { device, inode } = this.#record;
    await grantAccess(
      path,
      access,
      () => findNode(device!) === path && readInode(device!) === inode,
    );
    using chip = Chip.open(path);
    const { label } = chip;
    await this.#note({ path });
    return {
      record: this.#record,
      label,
      guardian: this.#guardian,
      livenessLock,
    };
  }

  /**
   * Removes what was made so far.
   *
   * @throws {Error} Always: the error that occurred.
   */
  async undo(error: Error): Promise<never> {
    try {
      await endChip(this.#records, this.#record);
      await this.#guardian?.[Symbol.asyncDispose]();
    } catch (problem) {
      // The guardian stays, and retries when this process has ended.
      throw new Error(
        `${error.message}. What was made until then could not be removed: ` +
          `${(problem as Error).message}; gpioagg kernel gc retries it`,
        { cause: error },
      );
    } finally {
      this.#livenessLock?.[Symbol.dispose]();
    }
    throw error;
  }

  /** Updates the in-memory record first, then persists it (which may fail). */
  async #note(news: Partial<ChipRecord>): Promise<void> {
    this.#record = { ...this.#record, ...news };
    await this.#records.write(this.#record);
  }

  async #requestThroughConfigfs(group: string): Promise<void> {
    makeGroup(group);
    // It is ours from here on, and harmless as long as it has no lines.
    await this.#note({ configfs: group });
    await this.#guardian?.report("group");
    try {
      const device = fillGroup(group, this.#lines);
      await this.#note({ device, inode: readInode(device) ?? "" });
    } catch (error) {
      // ENXIO, and EINVAL before it: the driver could not request the lines.
      if (!isOsError(error, "ENXIO", "EINVAL", "ENODEV")) throw error;
      throw explainFailure(this.#lines, error);
    }
  }

  async #requestThroughSysfs(): Promise<void> {
    const taken = listOtherMarks(await this.#records.list(), this.#record);
    await this.#note({ devicesBefore: deviceMarks() });
    requestThroughSysfs(this.#lines);
    const made = findNewDevice(this.#record, taken);
    await this.#note({ ...made });
    await this.#guardian?.report(made);
    // A device that waits for lines would request them at any later time: it is
    // removed, with everything else.
    if (await waitUntil(() => isBound(made.device), APPEARANCE_LIMIT_MS)) {
      return;
    }
    throw explainFailure(
      this.#lines,
      new Error(`no chip appeared within ${APPEARANCE_LIMIT_MS / 1000} s`),
    );
  }

  async #waitForNode(): Promise<string> {
    const device = this.#record.device!;
    // With its chip it has all its lines.
    await waitUntil(
      () => findChipName(device) !== undefined,
      APPEARANCE_LIMIT_MS,
    );
    // The kernel searches for chips by label: one that was just added, or that
    // is not visible in /dev, may have the same label.
    if (!holdsExactly(device, this.#record.lines)) {
      throw new Error(
        `${device} does not have the requested lines: another chip of this ` +
          `host has the same label, or another line the same name`,
      );
    }
    let path: string | undefined;
    const isThere = await waitUntil(
      () => (path = findNode(device)) !== undefined,
      APPEARANCE_LIMIT_MS,
    );
    if (isThere) return path!;
    throw new Error(
      `${device} exists, but no device node appeared in /dev within ` +
        `${
          APPEARANCE_LIMIT_MS / 1000
        } s: does this machine have devtmpfs or udev?`,
    );
  }
}

/**
 * Reports why the driver did not take the lines, as far as it can be
 * determined.
 */
function explainFailure(lines: readonly KernelLine[], cause: Error): Error {
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
        `Cannot request ${title}: ${chip} line ${chipOffset} ${problem}`,
        { cause },
      );
    }
  }
  return new Error(
    `The kernel's aggregator did not accept the lines: ${cause.message}. Its ` +
      `own messages may say more: dmesg | grep gpio-aggregator`,
    { cause },
  );
}
