/**
 * What was made, written down where it outlives its maker: one directory for
 * each chip, below a runtime directory that goes with the machine's run.
 *
 * @module
 */
import { effectiveUserId } from "../../ffi/sysfs.ts";
import { ConfigError } from "../config/config_error.ts";
import { CONFIGFS, type Interface } from "./driver.ts";
import { bootId, isAlive, type ProcessIdentity } from "./process_identity.ts";

/** One line of a chip, as the record keeps it. */
export interface RecordedLine {
  readonly name: string;
  /** Where it is on this host: `gpiochip0`. */
  readonly chip: string;
  readonly chipOffset: number;
  readonly key: string;
  readonly offset: number;
}

/** What is known of a chip that gpioagg made, or was about to make. */
export interface ChipRecord {
  readonly name: string;
  readonly interface: Interface;
  readonly maker: ProcessIdentity;
  /** The process that takes the chip down when the maker dies. */
  readonly guardian?: ProcessIdentity;
  /** Outlives its maker: only `remove` ends it. */
  readonly isDetached: boolean;
  readonly lines: readonly RecordedLine[];
  /** The chip's directory in configfs. */
  readonly configfs?: string;
  /** `gpio-aggregator.0`, the kernel's name for it; absent: not made yet. */
  readonly device?: string;
  /** Tells the device from a later one of the same name. */
  readonly inode?: string;
  /** `/dev/gpiochip3`, once it is there. */
  readonly path?: string;
}

/** How a chip stands, from its record. */
export type ChipState = "held" | "detached" | "orphaned";

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/;

/** Says whether the maker lives, is not needed, or is gone. */
export function stateOf(record: ChipRecord): ChipState {
  if (record.maker.bootId !== bootId()) return "orphaned";
  // Without a path it is not finished, and its maker may have died over it.
  if (record.isDetached && record.path !== undefined) return "detached";
  return isAlive(record.maker) ? "held" : "orphaned";
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
export function defaultRuntimeDirectory(): string {
  const own = Deno.env.get("XDG_RUNTIME_DIR");
  return effectiveUserId() !== 0 && own !== undefined && own !== ""
    ? `${own}/gpioagg/kernel-chips`
    : "/run/gpioagg/kernel-chips";
}

/**
 * The records in one runtime directory.
 *
 * A record is a directory named after the chip and its maker, so that what one
 * maker's guardian removes is never what another maker has made since.
 */
export class Records {
  readonly #directory: string;

  /** Looks at `directory`, which need not be there yet. */
  constructor(directory: string = defaultRuntimeDirectory()) {
    this.#directory = directory;
  }

  /** Where a record is, or would be. */
  pathOf(record: Pick<ChipRecord, "name" | "maker">): string {
    return `${this.#directory}/${record.name}.${record.maker.pid}`;
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
    const file = await Deno.open(`${this.#directory}/lock`, {
      write: true,
      create: true,
      mode: 0o644,
    });
    await file.lock(true);
    return { [Symbol.dispose]: () => file.close() };
  }

  /** All records, by name; what is not one of ours is left out. */
  async list(): Promise<ChipRecord[]> {
    const records: ChipRecord[] = [];
    try {
      for await (const { name, isDirectory } of Deno.readDir(this.#directory)) {
        const record = isDirectory ? await this.#read(name) : undefined;
        if (record !== undefined) records.push(record);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return records.sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /** Writes a record, whole or not at all. */
  async write(record: ChipRecord): Promise<void> {
    const path = this.pathOf(record);
    await Deno.mkdir(path, { recursive: true, mode: 0o755 });
    if (record.device !== undefined && record.inode !== undefined) {
      // For the guardian, which is a shell: one line, two words.
      await replace(`${path}/device`, `${record.device} ${record.inode}\n`);
    }
    await replace(`${path}/record.json`, JSON.stringify(record) + "\n");
  }

  /** Removes a record; nothing happens if it is gone. */
  async remove(record: Pick<ChipRecord, "name" | "maker">): Promise<void> {
    try {
      await Deno.remove(this.pathOf(record), { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  async #read(name: string): Promise<ChipRecord | undefined> {
    try {
      const text = await Deno.readTextFile(
        `${this.#directory}/${name}/record.json`,
      );
      const value: unknown = JSON.parse(text);
      return isRecord(value) && `${value.name}.${value.maker.pid}` === name
        ? value
        : undefined;
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
  const { name, maker, configfs, device, guardian, lines } = value;
  return typeof name === "string" && NAME.test(name) && isIdentity(maker) &&
    (guardian === undefined || isIdentity(guardian)) &&
    (configfs === undefined ||
      configfs === `${CONFIGFS}/${name}.${maker.pid}`) &&
    (device === undefined || /^gpio-aggregator\.\d+$/.test(device)) &&
    Array.isArray(lines) && lines.every(isLine);
}

function isIdentity(value: unknown): value is ProcessIdentity {
  return isObject<ProcessIdentity>(value) && Number.isInteger(value.pid) &&
    typeof value.startTime === "string" && typeof value.bootId === "string";
}

function isLine(value: unknown): value is RecordedLine {
  return isObject<RecordedLine>(value) && typeof value.name === "string" &&
    typeof value.chip === "string" && Number.isInteger(value.chipOffset);
}

function isObject<T>(value: unknown): value is Partial<T> {
  return typeof value === "object" && value !== null;
}

async function replace(path: string, text: string): Promise<void> {
  await Deno.writeTextFile(`${path}.new`, text, { mode: 0o644 });
  await Deno.rename(`${path}.new`, path);
}
