/**
 * What was made, written down where it outlives its maker: one directory for
 * each chip, below a runtime directory that goes with the machine's run.
 *
 * @module
 */
import { fileStatus } from "../../ffi/files.ts";
import { effectiveUserId } from "../../ffi/sysfs.ts";
import { ConfigError } from "../config/config_error.ts";
import { CONFIGFS, type Interface } from "./driver.ts";
import { LifeMark } from "./life_mark.ts";
import {
  bootId,
  isAlive,
  isOfThisNamespace,
  type ProcessIdentity,
} from "./process_identity.ts";

/** One line of a chip, as the record keeps it. */
export interface RecordedLine {
  readonly name: string;
  /** Where it is on this host: `gpiochip0`. */
  readonly chip: string;
  readonly chipOffset: number;
  /** What the kernel was told: a chip's label, or the line's name. */
  readonly key: string;
  /** … and the line's number there; -1 where `key` is its name. */
  readonly offset: number;
}

/** What is known of a chip that gpioagg made, or was about to make. */
export interface ChipRecord {
  readonly name: string;
  /** The name and what no other chip has, on this host or in any container. */
  readonly id: string;
  readonly interface: Interface;
  readonly maker: ProcessIdentity;
  /** The process that takes the chip down when the maker dies. */
  readonly guardian?: ProcessIdentity;
  /** Outlives its maker: only `remove` ends it. */
  readonly isDetached: boolean;
  readonly lines: readonly RecordedLine[];
  /** The chip's directory in configfs; absent: not made yet. */
  readonly configfs?: string;
  /**
   * The aggregator devices that there were when the kernel was about to be asked
   * through sysfs, as {@linkcode deviceMarks} tells them; absent: not asked yet.
   */
  readonly devicesBefore?: readonly string[];
  /** `gpio-aggregator.0`, the kernel's name for it; absent: not made yet. */
  readonly device?: string;
  /** Tells the device from a later one of the same name. */
  readonly inode?: string;
  /** `/dev/gpiochip3`, once it is there. */
  readonly path?: string;
}

/** How a chip stands, from its record. */
export type ChipState = "held" | "detached" | "orphaned";

/** A record that was found, and how its chip stood then. */
export interface FoundRecord extends ChipRecord {
  readonly state: ChipState;
}

/** The machine's place for records. */
const MACHINE_DIRECTORY = "/run/gpioagg/kernel-chips";
/** In a record's directory: what its maker holds as long as it lives. */
const LIFE_MARK = "alive";
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/;
const ID = /^([A-Za-z0-9][A-Za-z0-9_-]{0,31})\.[0-9a-f]{16}$/;

/** Makes an id for a chip: two containers, which cannot ask each other, differ. */
export function newId(name: string): string {
  const random = crypto.getRandomValues(new BigUint64Array(1))[0]!;
  return `${name}.${random.toString(16).padStart(16, "0")}`;
}

/** What messages call the process that holds a chip. */
export function holderOf({ maker }: Pick<ChipRecord, "maker">): string {
  return isOfThisNamespace(maker)
    ? `process ${maker.pid}`
    : `process ${maker.pid} of another PID namespace (a container)`;
}

/** Where a chip's group in configfs is, or will be. */
export function groupOf({ id }: Pick<ChipRecord, "id">): string {
  return `${CONFIGFS}/${id}`;
}

/** Says whether the maker lives, is not needed, or is gone. */
export function stateOf(
  record: ChipRecord,
  isMakerAlive: boolean,
): ChipState {
  if (record.maker.bootId !== bootId()) return "orphaned";
  // Without a path it is not finished, and its maker may have died over it.
  if (record.isDetached && record.path !== undefined) return "detached";
  return isMakerAlive ? "held" : "orphaned";
}

/**
 * Checks a chip's name: it becomes a file's.
 *
 * @param path What errors call the place where it was given.
 * @throws {ConfigError} If it will not do.
 */
export function checkName(name: string, path = "--name"): void {
  if (NAME.test(name)) return;
  throw new ConfigError(`"${name}" is no name for a chip`, {
    path,
    hint: "Letters, digits, _ and -, at most 32, the first no mark",
  });
}

/** Where records are: for root the machine's place, for others their own. */
function defaultRuntimeDirectory(): string {
  const own = Deno.env.get("XDG_RUNTIME_DIR");
  return effectiveUserId() !== 0 && own !== undefined && own !== ""
    ? `${own}/gpioagg/kernel-chips`
    : MACHINE_DIRECTORY;
}

/**
 * The records that this user can see: its own, and those of the machine, which
 * root's gpioagg writes and everybody may read.
 */
export async function visibleRecords(): Promise<FoundRecord[]> {
  const directories = new Set([defaultRuntimeDirectory(), MACHINE_DIRECTORY]);
  const found: FoundRecord[] = [];
  for (const directory of directories) {
    try {
      found.push(...await new Records(directory).list());
    } catch (error) {
      // A machine may keep them to itself.
      if (!(error instanceof Deno.errors.PermissionDenied)) throw error;
    }
  }
  return found;
}

/**
 * The records in one runtime directory.
 *
 * A record is a directory named after the chip and something unique, so that
 * what one maker's guardian removes is never what another maker has made since.
 */
export class Records {
  readonly #directory: string;

  /** Looks at `directory`, which need not be there yet. */
  constructor(directory: string = defaultRuntimeDirectory()) {
    this.#directory = directory;
  }

  /** Where a record is, or would be. */
  pathOf({ id }: Pick<ChipRecord, "id">): string {
    return `${this.#directory}/${id}`;
  }

  /** Whether there is nothing at all, not even a place for records. */
  get isEmpty(): boolean {
    return fileStatus(this.#directory) === undefined;
  }

  /**
   * Keeps other gpioagg processes from making or removing chips meanwhile.
   *
   * **Blocking**: until those that are at it have done.
   *
   * @throws {Deno.errors.PermissionDenied} Without the right to write there.
   */
  async lock(): Promise<Disposable> {
    await Deno.mkdir(this.#directory, { recursive: true, mode: 0o755 });
    // Its owner's alone: who may open a file may lock it, and keep it locked.
    const file = await Deno.open(`${this.#directory}/lock`, {
      write: true,
      create: true,
      mode: 0o600,
    });
    await file.lock(true);
    return { [Symbol.dispose]: () => file.close() };
  }

  /**
   * Makes the place of a record, before there is one, and shows from now on that
   * its maker, this process, lives.
   */
  begin(record: Pick<ChipRecord, "id">): LifeMark {
    Deno.mkdirSync(this.pathOf(record), { mode: 0o755 });
    return LifeMark.set(`${this.pathOf(record)}/${LIFE_MARK}`);
  }

  /** All records, by name; what is not one of ours is left out. */
  async list(): Promise<FoundRecord[]> {
    const records: FoundRecord[] = [];
    for (const id of await this.#ids()) {
      const record = await this.#read(id);
      if (record === undefined) continue;
      records.push({
        ...record,
        state: stateOf(record, this.#isMakerAlive(record)),
      });
    }
    return records.sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /** Writes a record, whole or not at all. */
  async write(record: ChipRecord): Promise<void> {
    const path = `${this.pathOf(record)}/record.json`;
    await Deno.writeTextFile(`${path}.new`, JSON.stringify(record) + "\n", {
      mode: 0o644,
    });
    await Deno.rename(`${path}.new`, path);
  }

  /** Removes a record; nothing happens if it is gone. */
  async remove(record: Pick<ChipRecord, "id">): Promise<void> {
    try {
      await Deno.remove(this.pathOf(record), { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  /**
   * Clears away the places of makers that died before they wrote anything, and
   * so before they made anything. The records must be locked.
   */
  async sweep(): Promise<void> {
    for (const id of await this.#ids()) {
      if (fileStatus(`${this.pathOf({ id })}/record.json`) === undefined) {
        await this.remove({ id });
      }
    }
  }

  /** The names of directories that look like records, and nobody planted. */
  async #ids(): Promise<string[]> {
    const ids: string[] = [];
    try {
      for await (const { name, isDirectory } of Deno.readDir(this.#directory)) {
        if (isDirectory && ID.test(name) && this.#isTrusted(name)) {
          ids.push(name);
        }
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return ids;
  }

  /** What is done by a record is done with this user's rights. */
  #isTrusted(id: string): boolean {
    const owner = fileStatus(this.pathOf({ id }))?.uid;
    return owner === 0 || owner === effectiveUserId();
  }

  #isMakerAlive(record: ChipRecord): boolean {
    const isHeld = LifeMark.isHeld(`${this.pathOf(record)}/${LIFE_MARK}`);
    if (isHeld !== undefined) return isHeld;
    // It may not be looked at. A maker that cannot be seen is not given up.
    return !isOfThisNamespace(record.maker) || isAlive(record.maker);
  }

  async #read(id: string): Promise<ChipRecord | undefined> {
    try {
      const text = await Deno.readTextFile(
        `${this.pathOf({ id })}/record.json`,
      );
      const value: unknown = JSON.parse(text);
      return isRecord(value) && value.id === id ? value : undefined;
    } catch (error) {
      // Being made or removed at this moment.
      if (
        error instanceof Deno.errors.NotFound || error instanceof SyntaxError
      ) return undefined;
      throw error;
    }
  }
}

/** What is done to a chip by its record is done as root: nothing is assumed. */
function isRecord(value: unknown): value is ChipRecord {
  if (!isObject<ChipRecord>(value)) return false;
  const { name, id, maker, configfs, device, guardian, lines } = value;
  const { devicesBefore } = value;
  return typeof name === "string" && NAME.test(name) &&
    typeof id === "string" && ID.exec(id)?.[1] === name && isIdentity(maker) &&
    (value.interface === "configfs" || value.interface === "sysfs") &&
    (guardian === undefined || isIdentity(guardian)) &&
    (configfs === undefined || configfs === groupOf({ id })) &&
    (device === undefined || /^gpio-aggregator\.\d+$/.test(device)) &&
    (devicesBefore === undefined ||
      Array.isArray(devicesBefore) &&
        devicesBefore.every((mark) => typeof mark === "string")) &&
    Array.isArray(lines) && lines.every(isLine);
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
