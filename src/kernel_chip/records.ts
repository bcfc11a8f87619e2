/**
 * Records of chips, which outlive their maker: one directory for each chip, in
 * a runtime directory that the boot clears.
 *
 * @module
 */
import { bootId } from "../../ffi/process.ts";
import { makeDirectoryAt, openAt, unlinkAt } from "../../ffi/directory.ts";
import {
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  readOpenFile,
} from "../../ffi/files.ts";
import { listEntries } from "../../ffi/directory_entries.ts";
import { fdStatus, fileStatus, statusAt } from "../../ffi/file_status.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import {
  MACHINE_RUNTIME_DIRECTORY,
  openRuntimeDirectory,
  ownRuntimeDirectory,
} from "../../ffi/runtime_directory.ts";
import { openRegularAt, UntrustedPathError } from "../../ffi/trusted_path.ts";
import { replaceFileAt } from "../../ffi/whole_file.ts";
import { effectiveUserId } from "../../ffi/sysfs.ts";
import { CHIP_NAME } from "../config/values/values.ts";
import { CONFIGFS, type Interface } from "./driver.ts";
import { LivenessLock } from "./liveness_lock.ts";
import { lockRecords } from "./record_lock.ts";
import {
  isAlive,
  isOfThisNamespace,
  type ProcessIdentity,
} from "./process_identity.ts";

/** One line of a chip in its record. */
export interface RecordedLine {
  readonly name: string;
  /** Name on this host: `gpiochip0`. */
  readonly chip: string;
  readonly chipOffset: number;
  /** Key for the kernel: a chip's label, or the line's name. */
  readonly key: string;
  /** The line's number there; -1 if `key` is its name. */
  readonly offset: number;
}

/** Record of a chip that gpioagg has made, or is about to make. */
export interface ChipRecord {
  readonly name: string;
  /**
   * The name plus a suffix that is unique on this host and in all containers.
   */
  readonly id: string;
  /** Interface of the kernel's aggregator, or its USB drivers. */
  readonly interface: Interface | "usb";
  readonly maker: ProcessIdentity;
  /** The process that removes the chip when the maker dies. */
  readonly guardian?: ProcessIdentity;
  /** Outlives its maker: only `remove` ends it. */
  readonly isDetached: boolean;
  readonly lines: readonly RecordedLine[];
  /** The chip's directory in configfs; absent: not made yet. */
  readonly configfs?: string;
  /**
   * The aggregator devices that existed before the kernel's request through
   * sysfs, as {@linkcode deviceMarks} returns them; absent: not requested yet.
   */
  readonly devicesBefore?: readonly string[];
  /** `gpio-aggregator.0`, the kernel's name for it; absent: not made yet. */
  readonly device?: string;
  /** Mark that distinguishes the device from a later one of the same name. */
  readonly inode?: string;
  /** `/dev/gpiochip3`, once it exists. */
  readonly path?: string;
  /** Number of its USB adapters. */
  readonly adapters?: number;
  /** Ports of the USB adapters, in order; absent: not attached yet. */
  readonly ports?: readonly number[];
}

/** State of a chip, from its record. */
export type ChipState = "held" | "detached" | "orphaned";

/** A record that was found, and the state of its chip at that time. */
export interface FoundRecord extends ChipRecord {
  readonly state: ChipState;
}

/** Directory of records in gpioagg's runtime directory. */
export const RECORDS_DIRECTORY = "kernel-chips";
/** The machine's directory of records. */
export const MACHINE_RECORDS: string =
  `${MACHINE_RUNTIME_DIRECTORY}/gpioagg/${RECORDS_DIRECTORY}`;
/** Limit of the number of records; more are not gpioagg's. */
const MAX_RECORDS = 1024;
/** Files of a record that are removed with it at once, at least. */
const MAX_FILES = 64;
/** Longest record, which has some 100 bytes a line. **Units**: bytes. */
const MAX_RECORD_BYTES = 256 * 1024;
/** Limits of a record's USB adapters, and of port numbers. */
const MAX_ADAPTERS = 64;
const MAX_PORTS = 65_535;
/** File of a record's directory: the description of the chip. */
const RECORD = "record.json";
/** File of a record's directory: the maker's lock. */
const LIVENESS_FILE = "alive";
const ID = /^(.+)\.[0-9a-f]{16}$/;

/** Returns true if a text is the name of a chip. */
function isName(text: unknown): text is string {
  return typeof text === "string" && "value" in CHIP_NAME.read(text);
}

/**
 * Makes an id for a chip: containers, which cannot coordinate, make different
 * ones.
 */
export function newId(name: string): string {
  const random = crypto.getRandomValues(new BigUint64Array(1))[0]!;
  return `${name}.${random.toString(16).padStart(16, "0")}`;
}

/** Returns a text for the process that holds a chip. */
export function describeHolder({ maker }: Pick<ChipRecord, "maker">): string {
  return isOfThisNamespace(maker)
    ? `process ${maker.pid}`
    : `process ${maker.pid} of another PID namespace (a container)`;
}

/** Returns the path of a chip's group in configfs, present or not. */
export function groupPath({ id }: Pick<ChipRecord, "id">): string {
  return `${CONFIGFS}/${id}`;
}

/** Returns the serial numbers of a chip's USB adapters, in order. */
export function usbSerials(
  { id, adapters = 0 }: Pick<ChipRecord, "id" | "adapters">,
): string[] {
  return adapters === 1
    ? [id]
    : Array.from({ length: adapters }, (_, i) => `${id}.${i}`);
}

/** Says whether the maker lives, is not needed, or is gone. */
export function deriveState(
  record: ChipRecord,
  isMakerAlive: boolean,
): ChipState {
  if (record.maker.bootId !== bootId()) return "orphaned";
  // Without a path it is incomplete, and its maker may have died meanwhile.
  if (record.isDetached && record.path !== undefined) return "detached";
  return isMakerAlive ? "held" : "orphaned";
}

/**
 * Returns the directory of records: for root the machine's, for others their
 * own.
 *
 * @throws {UntrustedPathError} If that is in a runtime directory of another
 * user.
 */
function defaultRuntimeDirectory(): string {
  if (effectiveUserId() === 0) return MACHINE_RECORDS;
  const { path, problem } = ownRuntimeDirectory();
  if (problem !== undefined) throw new UntrustedPathError(problem);
  return path === undefined
    ? MACHINE_RECORDS
    : `${path}/gpioagg/${RECORDS_DIRECTORY}`;
}

/**
 * Returns the records that this user can see: its own, and those of the
 * machine, which root's gpioagg writes and all may read.
 */
export async function visibleRecords(): Promise<FoundRecord[]> {
  const directories = new Set([defaultRuntimeDirectory(), MACHINE_RECORDS]);
  const found: FoundRecord[] = [];
  for (const directory of directories) {
    try {
      found.push(...await new Records(directory).list());
    } catch (error) {
      // The machine's may be unreadable.
      if (!isOsError(error, "EACCES", "EPERM")) throw error;
    }
  }
  return found;
}

/**
 * The records in one runtime directory.
 *
 * A record is a directory named after the chip and a unique suffix, so that one
 * maker's guardian never removes what another maker has made since.
 *
 * Others may see and fill the directory, such as a container that shares it.
 * Therefore all files are found from one open directory of this user or root;
 * records are regular files of limited size and number, and are never
 * sufficient evidence to end a process.
 */
export class Records {
  readonly #directory: string;

  /** Reads `directory`, which need not exist yet. */
  constructor(directory: string = defaultRuntimeDirectory()) {
    this.#directory = directory;
  }

  /** Returns the path of a record, present or not. */
  recordPath({ id }: Pick<ChipRecord, "id">): string {
    return `${this.#directory}/${id}`;
  }

  /** True if there is nothing at all, not even a directory of records. */
  get isEmpty(): boolean {
    return fileStatus(this.#directory, { followLinks: false }) === undefined;
  }

  /**
   * Keeps other gpioagg processes from making or removing chips meanwhile.
   *
   * **Blocking**: until other holders have finished, for a limited time.
   *
   * @throws {OsError} EACCES, EPERM without the right to write there.
   * @throws {UntrustedPathError} If others may write there.
   * @throws {Error} If another process keeps it locked.
   */
  async lock(limitMs?: number): Promise<Disposable> {
    using directory = this.#open({ make: true })!;
    return await lockRecords(directory, limitMs);
  }

  /**
   * Makes the directory of a record before there is one, and marks from now on
   * that its maker, this process, lives.
   */
  begin({ id }: Pick<ChipRecord, "id">): LivenessLock {
    using directory = this.#open({ make: true })!;
    if (!makeDirectoryAt(directory, id, 0o755)) {
      throw new Error(
        `Cannot make ${this.recordPath({ id })}: it exists already`,
      );
    }
    try {
      using recordDirectory = openRecordDirectory(directory, id)!;
      return LivenessLock.set(recordDirectory, LIVENESS_FILE);
    } catch (error) {
      // A disk may have had room for the directory only.
      removeRecordDirectory(directory, id);
      throw error;
    }
  }

  /** Returns all records, by name; others' files are ignored. */
  // deno-lint-ignore require-await -- its callers wait, as for a slower disk
  async list(): Promise<FoundRecord[]> {
    using directory = this.#open();
    if (directory === undefined) return [];
    const records: FoundRecord[] = [];
    for (const id of this.#ids(directory)) {
      using recordDirectory = openRecordDirectory(directory, id);
      const record = recordDirectory && readRecord(recordDirectory, id);
      if (record === undefined) continue;
      const isAlive = isMakerAlive(recordDirectory!, record);
      records.push({ ...record, state: deriveState(record, isAlive) });
    }
    return records.sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /**
   * Writes a record atomically.
   *
   * @throws {Error} If its directory is gone, or it is too long to be read
   * again.
   */
  // deno-lint-ignore require-await -- its callers wait, as for a slower disk
  async write(record: ChipRecord): Promise<void> {
    const text = JSON.stringify(record) + "\n";
    if (text.length > MAX_RECORD_BYTES) {
      throw new RangeError(
        `Cannot record a chip of ${record.lines.length} lines: its record ` +
          `would have more than ${MAX_RECORD_BYTES} bytes`,
      );
    }
    using directory = this.#open();
    using recordDirectory = directory &&
      openRecordDirectory(directory, record.id);
    if (recordDirectory === undefined) {
      throw new Error(`Cannot write ${this.recordPath(record)}: it is gone`);
    }
    replaceFileAt(recordDirectory, RECORD, text, 0o644);
  }

  /** Removes a record; does nothing if it is gone. */
  // deno-lint-ignore require-await -- its callers wait, as for a slower disk
  async remove({ id }: Pick<ChipRecord, "id">): Promise<void> {
    using directory = this.#open();
    if (directory !== undefined) removeRecordDirectory(directory, id);
  }

  /**
   * Removes the directories of makers that died before they wrote a record, and
   * so before they made anything. The records must be locked.
   */
  // deno-lint-ignore require-await -- its callers wait, as for a slower disk
  async sweep(): Promise<void> {
    using directory = this.#open();
    if (directory === undefined) return;
    for (const id of this.#ids(directory)) {
      using recordDirectory = openRecordDirectory(directory, id);
      if (
        recordDirectory === undefined ||
        statusAt(recordDirectory, RECORD) !== undefined
      ) {
        continue;
      }
      try {
        removeRecordDirectory(directory, id);
      } catch (error) {
        // It contains files that no maker has put there.
        if (!isOsError(error, "ENOTEMPTY", "EISDIR", "EPERM")) throw error;
      }
    }
  }

  #open(options?: { make: boolean }): OwnedFd | undefined {
    return openRuntimeDirectory(this.#directory, options);
  }

  /** The names of directories that look like records. */
  #ids(directory: OwnedFd): string[] {
    const most = 2 * MAX_RECORDS;
    const entries = listEntries(`/proc/self/fd/${directory.fd}`, most);
    const ids = entries
      .flatMap(({ name }) => isName(ID.exec(name)?.[1]) ? [name] : []);
    // Behind other files there may be records that were not read.
    if (entries.length < most && ids.length <= MAX_RECORDS) return ids;
    throw new Error(
      `Cannot read the records of chips in ${this.#directory}: there are more ` +
        `than ${MAX_RECORDS}, or other files, which gpioagg has not made`,
    );
  }
}

/**
 * Returns the directory of a record; undefined if there is none, or another
 * user has planted it: this user's rights are used for what a record says.
 */
function openRecordDirectory(
  directory: OwnedFd,
  id: string,
): OwnedFd | undefined {
  let recordDirectory: OwnedFd;
  try {
    recordDirectory = openAt(directory, id, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    if (isOsError(error, "ENOENT", "ENOTDIR", "ELOOP")) return undefined;
    throw error;
  }
  const { uid } = fdStatus(recordDirectory.fd);
  if (uid === 0 || uid === effectiveUserId()) return recordDirectory;
  recordDirectory.close();
  return undefined;
}

/** Removes the directory of a record, and the files in it. */
function removeRecordDirectory(directory: OwnedFd, id: string): void {
  using recordDirectory = openRecordDirectory(directory, id);
  if (recordDirectory === undefined) return;
  // Of more files than gpioagg makes the rest stays, and the directory too.
  const files = listEntries(`/proc/self/fd/${recordDirectory.fd}`, MAX_FILES);
  for (const { name } of files) unlinkAt(recordDirectory, name);
  unlinkAt(directory, id, { isDirectory: true });
}

function isMakerAlive(
  recordDirectory: OwnedFd,
  { maker }: ChipRecord,
): boolean {
  const isHeld = LivenessLock.isHeld(recordDirectory, LIVENESS_FILE);
  if (isHeld !== undefined) return isHeld;
  // It cannot be read. An invisible maker does not count as dead.
  return !isOfThisNamespace(maker) || isAlive(maker);
}

function readRecord(
  recordDirectory: OwnedFd,
  id: string,
): ChipRecord | undefined {
  try {
    using file = openRegularAt(recordDirectory, RECORD, O_RDONLY);
    const text = file && readOpenFile(file, MAX_RECORD_BYTES);
    // Being made or removed at this moment, or invalid.
    if (text === undefined) return undefined;
    const value: unknown = JSON.parse(text);
    return isRecord(value) && value.id === id ? value : undefined;
  } catch (error) {
    // Being written, or longer than one that gpioagg wrote.
    if (error instanceof SyntaxError || isOsError(error, "ERANGE")) {
      return undefined;
    }
    throw error;
  }
}

/** Validates a record completely: root acts on it. */
function isRecord(value: unknown): value is ChipRecord {
  if (!isObject<ChipRecord>(value)) return false;
  const { name, id, maker, configfs, device, guardian, lines } = value;
  const { devicesBefore } = value;
  return isName(name) &&
    typeof id === "string" && ID.exec(id)?.[1] === name && isIdentity(maker) &&
    (value.interface === "configfs" || value.interface === "sysfs" ||
      value.interface === "usb") &&
    (value.adapters === undefined || isCount(value.adapters, MAX_ADAPTERS)) &&
    (value.ports === undefined ||
      Array.isArray(value.ports) && value.ports.length <= MAX_ADAPTERS &&
        value.ports.every((port) => isCount(port, MAX_PORTS))) &&
    (guardian === undefined || isIdentity(guardian)) &&
    (configfs === undefined || configfs === groupPath({ id })) &&
    (device === undefined || /^gpio-aggregator\.\d+$/.test(device)) &&
    (devicesBefore === undefined ||
      Array.isArray(devicesBefore) &&
        devicesBefore.every((mark) => typeof mark === "string")) &&
    Array.isArray(lines) && lines.every(isLine);
}

function isCount(value: unknown, most: number): boolean {
  return Number.isInteger(value) && (value as number) >= 0 &&
    (value as number) <= most;
}

function isIdentity(value: unknown): value is ProcessIdentity {
  return isObject<ProcessIdentity>(value) && Number.isInteger(value.pid) &&
    typeof value.startTime === "string" && typeof value.bootId === "string" &&
    typeof value.pidNamespace === "string";
}

function isLine(value: unknown): value is RecordedLine {
  return isObject<RecordedLine>(value) && typeof value.name === "string" &&
    typeof value.chip === "string" && Number.isInteger(value.chipOffset) &&
    typeof value.key === "string" && Number.isInteger(value.offset);
}

function isObject<T>(value: unknown): value is Partial<T> {
  return typeof value === "object" && value !== null;
}
