/**
 * A kernel chip behind the kernel's USB drivers, from the maker's side: its
 * record, the process that relays, and the kernel's chips. The lines are served
 * by the reactor, at sockets in the record's directory.
 *
 * @module
 */
import { splitLines, type UsbModel } from "../usb/core/models.ts";
import type { LivenessLock } from "./liveness_lock.ts";
import { collectGarbage } from "./cleanup.ts";
import { freeName } from "./kernel_chip.ts";
import {
  grantAccess,
  type NodeAccess,
  type NodeAccessOptions,
  readNodeAccess,
} from "./node_access.ts";
import { identifyProcess } from "./process_identity.ts";
import {
  type ChipRecord,
  newId,
  type RecordedLine,
  Records,
  usbSerials,
} from "./records.ts";
import {
  type AdapterChip,
  adapterChips,
  HOST_KERNEL,
  type Relay,
  type UsbKernel,
} from "./usb_adapter.ts";
import { HOLD_S, isHeld } from "./suspend.ts";
import { waitUntil } from "../async/wait.ts";

export { DETACHED } from "../usbip/relay_process.ts";

/** Limit of the appearance of the chips, and more for each adapter. */
const APPEARANCE_LIMIT_MS = 10_000;
const MORE_MS = 2000;
/**
 * Attempts to attach an LJCA. Its driver asks once for the number of lines, and
 * makes no chip if the answer takes more than 20 ms, as on a busy host.
 */
const LJCA_ATTEMPTS = 3;
/** Limit of the appearance of its chip in all of them but the last. */
const LJCA_ATTEMPT_MS = 4000;

/** Limit of the end of earlier adapters of the same chip. **Units**: ms. */
const END_LIMIT_MS = 2000;

/** The kernel has the adapters, and makes no chips of them. */
class NoChipError extends Error {}

/** Options of a chip. */
export interface UsbKernelChipOptions extends NodeAccessOptions {
  readonly name?: string | undefined;
  /** Its lines, in order: their names and sources in words. */
  readonly lines: readonly { name: string; source: string }[];
  readonly model?: UsbModel | undefined;
  /** The host controller's `attach`, if another process opened it. */
  readonly attachFd?: number | undefined;
  /** Directory of the records. */
  readonly runtimeDirectory?: string | undefined;
  /** The kernel; tests bring their own. */
  readonly kernel?: UsbKernel;
  /** Limit of an attempt that is not the last one, in milliseconds; likewise. */
  readonly attemptMs?: number;
}

/** **Ownership**: disposing removes the chip, and its record. */
export class UsbKernelChip implements AsyncDisposable {
  readonly model: UsbModel;
  readonly #records: Records;
  readonly #access: NodeAccess;
  readonly #livenessLock: LivenessLock;
  #record: ChipRecord;
  readonly #kernel: UsbKernel;
  readonly #attachFd: number | undefined;
  readonly #attemptMs: number;
  /** Directory of records that says when the host suspends. */
  readonly #holdDirectory: string | undefined;
  #relay: Relay | undefined;
  #isDisposed = false;
  #chips: readonly AdapterChip[] = [];
  #label = "";

  private constructor(
    records: Records,
    record: ChipRecord,
    livenessLock: LivenessLock,
    model: UsbModel,
    access: NodeAccess,
    {
      kernel = HOST_KERNEL,
      attachFd,
      runtimeDirectory,
      attemptMs = LJCA_ATTEMPT_MS,
    }: UsbKernelChipOptions,
  ) {
    this.#attemptMs = attemptMs;
    this.#kernel = kernel;
    this.#attachFd = attachFd;
    this.#holdDirectory = runtimeDirectory;
    this.#records = records;
    this.#record = record;
    this.#livenessLock = livenessLock;
    this.model = model;
    this.#access = access;
  }

  /**
   * Checks that the kernel can take the chip, and makes its record, with the
   * directory for its sockets.
   *
   * @throws {ConfigError} If the lines, the name or the access are invalid.
   * @throws {Error} If the kernel has no USB host controller for programs.
   */
  static async prepare(options: UsbKernelChipOptions): Promise<UsbKernelChip> {
    const { lines, kernel = HOST_KERNEL } = options;
    const access = readNodeAccess(options);
    const records = new Records(options.runtimeDirectory);
    await waitForOrphans(records, kernel);
    const model = kernel.chooseModel(lines.length, options.model);
    using _lock = await records.lock();
    await collectGarbage(records);
    const name = await freeName(records, options.name);
    const record: ChipRecord = {
      name,
      id: newId(name),
      interface: "usb",
      maker: identifyProcess(Deno.pid)!,
      isDetached: false,
      adapters: splitLines(model, lines.length).length,
      lines: lines.map(({ name, source }): RecordedLine => ({
        name,
        chip: source,
        chipOffset: -1,
        key: "",
        offset: -1,
      })),
    };
    const livenessLock = records.begin(record);
    try {
      await records.write(record);
    } catch (error) {
      livenessLock[Symbol.dispose]();
      await records.remove(record);
      throw error;
    }
    return new UsbKernelChip(
      records,
      record,
      livenessLock,
      model,
      access,
      options,
    );
  }

  /** Record of the chip. */
  get record(): ChipRecord {
    return this.#record;
  }

  /** Socket of the first adapter, to listen at; others follow it. */
  get socketPath(): string {
    return `${this.#records.recordPath(this.#record)}/usb.sock`;
  }

  /** Serial number of the first adapter. */
  get serial(): string {
    return this.#record.id;
  }

  /** The kernel's chips, in the order of the lines. */
  get chips(): readonly AdapterChip[] {
    return this.#chips;
  }

  /** Label of the first chip, the kernel's name for it; empty: not made yet. */
  get label(): string {
    return this.#label;
  }

  /** True while a program of this host holds one of the lines. */
  get isUsed(): boolean {
    return this.#chips.some(({ path }) => this.#kernel.isUsed(path));
  }

  /**
   * Returns what programs that hold its lines come to if it goes now; undefined
   * if the kernel reports them, or there is none.
   */
  describeHolderCost(): string | undefined {
    if (!this.#kernel.forgetsHolders()) return undefined;
    const paths = this.#chips.map(({ path }) => path)
      .filter((path) => this.#kernel.isUsed(path));
    return paths.length === 0 ? undefined : `${paths.join(", ")}: removed ` +
      "while a program holds a line. Linux before 6.12 may not tell that " +
      "program, which then waits for ever, nor use the chip's number again. " +
      "End such programs first (gpioinfo names their consumers)";
  }

  /** True while the host is about to suspend, and takes no adapters. */
  get isHeld(): boolean {
    return isHeld(this.#holdDirectory);
  }

  /** True while the kernel has all of them. */
  get isPresent(): boolean {
    return adapterChips(this.#record, this.#kernel) !== undefined;
  }

  /**
   * Attaches the adapters, whose sockets are served, and waits until their chips
   * can be opened.
   *
   * @param sockets Sockets of the adapters, in order.
   * @param onLost Called once if the adapters are gone before they are disposed
   * of.
   * @throws {Error} If the host is about to suspend, or if the kernel does not
   * take them, or has no driver. Then they are detached again.
   */
  async attach(
    sockets: readonly string[],
    onLost: (reason: string) => void,
  ): Promise<void> {
    if (this.isHeld) {
      throw new Error(
        "This host is about to suspend, and takes no USB adapters until it " +
          `has resumed, or for ${HOLD_S} s (gpioagg kernel resume ends that)`,
      );
    }
    const attempts = this.model === "ljca" ? LJCA_ATTEMPTS : 1;
    const relay = await this.#tryToAttach(sockets, attempts);
    void relay.ended.then((reason) => {
      if (this.#relay === relay) onLost(reason);
    });
  }

  /** Attaches the adapters; the relay, when the kernel has their chips. */
  async #tryToAttach(
    sockets: readonly string[],
    attempts: number,
  ): Promise<Relay> {
    // A kernel refuses an LJCA while it has another one.
    await this.#waitForDetach();
    if (this.#isDisposed) throw new Error("The chip was removed meanwhile");
    const relay = this.#kernel.startRelay(sockets, this.#attachFd);
    this.#relay = relay;
    try {
      await this.#waitForChips(
        relay,
        attempts > 1
          ? this.#attemptMs
          : APPEARANCE_LIMIT_MS + MORE_MS * sockets.length,
      );
      return relay;
    } catch (error) {
      await relay[Symbol.asyncDispose]();
      // Disposed of meanwhile, no attempt is left, or the host suspends.
      const isOver = this.#relay !== relay || attempts <= 1 || this.isHeld;
      if (isOver || !(error instanceof NoChipError)) throw error;
    }
    return await this.#tryToAttach(sockets, attempts - 1);
  }

  /** Waits for the chips of attached adapters, and notes them. */
  async #waitForChips(relay: Relay, limitMs: number): Promise<void> {
    const ports = await relay.attached();
    await this.#note({ ports });
    let chips: AdapterChip[] | undefined;
    let reason: string | undefined;
    void relay.ended.then((why) => reason = why);
    await waitUntil(() => {
      chips = adapterChips(this.#record, this.#kernel);
      return chips !== undefined || reason !== undefined;
    }, limitMs);
    if (chips === undefined) {
      const driver = this.model === "ljca"
        ? "usb_ljca and gpio_ljca (Linux 6.7 and newer)"
        : "hid_cp2112";
      if (reason !== undefined) throw new Error(reason);
      throw new NoChipError(
        `The kernel has the USB adapter, but makes no chip of it within ` +
          `${limitMs / 1000} s: it needs the driver ${driver}`,
      );
    }
    for (const { path } of chips) {
      await grantAccess(
        path,
        this.#access,
        () =>
          adapterChips(this.#record, this.#kernel)
            ?.some((chip) => chip.path === path) === true,
      );
    }
    this.#chips = chips;
    this.#label = this.#kernel.readLabel(chips[0]!.path);
    await this.#note({ path: chips[0]!.path });
  }

  /** Waits until the kernel has none of its adapters any more. */
  async #waitForDetach(): Promise<void> {
    const serials = usbSerials(this.#record);
    await waitUntil(() => !this.#kernel.hasDevice(serials), END_LIMIT_MS);
  }

  /** Resolves with true if another process has removed the chip's record. */
  async isForgotten(): Promise<boolean> {
    const { id } = this.#record;
    return !(await this.#records.list()).some((other) => other.id === id);
  }

  /** Removes the chip. */
  async [Symbol.asyncDispose](): Promise<void> {
    const relay = this.#relay;
    this.#relay = undefined;
    this.#isDisposed = true;
    if (relay !== undefined) {
      await relay[Symbol.asyncDispose]();
      // The next maker may want an LJCA too.
      await this.#waitForDetach();
    }
    await this.#records.remove(this.#record);
    this.#livenessLock[Symbol.dispose]();
  }

  async #note(news: Partial<ChipRecord>): Promise<void> {
    this.#record = { ...this.#record, ...news };
    await this.#records.write(this.#record);
  }
}

/**
 * Waits until the kernel has no adapters of dead makers any more: it takes them
 * away by itself, a moment after their maker's end.
 */
async function waitForOrphans(
  records: Records,
  kernel: UsbKernel,
): Promise<void> {
  const serials = (await records.list())
    .filter((record) =>
      record.interface === "usb" && record.state === "orphaned"
    )
    .flatMap((record) => usbSerials(record));
  await waitUntil(() => !kernel.hasDevice(serials), END_LIMIT_MS);
}
