/**
 * PCI configuration space of a card.
 *
 * @module
 */
import type { PciCard } from "../pci/pci_card.ts";
import { CONFIG_BYTES } from "./protocol.ts";

/** Registers, as byte offsets. **Source**: PCI Local Bus 3.0, section 6.1. */
const Register = {
  VendorId: 0x00,
  DeviceId: 0x02,
  Command: 0x04,
  ClassCode: 0x08,
  CacheLineSize: 0x0c,
  LatencyTimer: 0x0d,
  Bar0: 0x10,
  SubsystemVendorId: 0x2c,
  SubsystemId: 0x2e,
  InterruptLine: 0x3c,
  InterruptPin: 0x3d,
} as const;

/** I/O, memory, bus master, parity, SERR, INTx disable. */
const COMMAND_BITS = 0x0547;
const COMMAND_INTX_DISABLE = 0x0400;
const INTX_PIN_A = 1;

/** Configuration space: 256 bytes, of which the guest may change a few. */
export class ConfigSpace {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #writable = new Uint8Array(CONFIG_BYTES);
  readonly #bars: readonly number[];

  /**
   * Makes the space of `card` in 256 bytes of memory, or goes on with what an
   * earlier process left there.
   */
  constructor(card: PciCard, bytes: Uint8Array) {
    this.#bytes = bytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset, CONFIG_BYTES);
    this.#view = view;
    const writable = new DataView(this.#writable.buffer);
    view.setUint16(Register.VendorId, card.vendor, true);
    view.setUint16(Register.DeviceId, card.device, true);
    // The lowest byte is the revision.
    view.setUint32(Register.ClassCode, card.classCode << 8, true);
    view.setUint8(Register.InterruptPin, INTX_PIN_A);
    writable.setUint16(Register.Command, COMMAND_BITS, true);
    writable.setUint8(Register.CacheLineSize, 0xff);
    writable.setUint8(Register.LatencyTimer, 0xff);
    writable.setUint8(Register.InterruptLine, 0xff);
    this.#bars = card.bars.map(({ index }) => index);
    for (const { index, size } of card.bars) {
      writable.setUint32(Register.Bar0 + 4 * index, -size >>> 0, true);
    }
  }

  /** True if the guest has given all BARs an address. */
  get isProgrammed(): boolean {
    return this.#bars.every((bar) => {
      const register = Register.Bar0 + 4 * bar;
      const address = this.#view.getUint32(register, true);
      // All ones ask for the size.
      return address !== 0 && address !== this.#sizeMask(register);
    });
  }

  #sizeMask(register: number): number {
    return new DataView(this.#writable.buffer).getUint32(register, true);
  }

  /** True if the guest has switched INTx off in the command register. */
  get isIntxDisabled(): boolean {
    const command = this.#view.getUint16(Register.Command, true);
    return (command & COMMAND_INTX_DISABLE) !== 0;
  }

  /** Copies a range that lies inside the space into `target`. */
  read(offset: number, target: DataView, at: number, count: number): void {
    for (let i = 0; i < count; i++) {
      target.setUint8(at + i, this.#bytes[offset + i]!);
    }
  }

  /** Writes a range that lies inside the space; read-only bits stay. */
  write(offset: number, source: DataView, at: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const mask = this.#writable[offset + i]!;
      const value = source.getUint8(at + i);
      this.#bytes[offset + i] = (this.#bytes[offset + i]! & ~mask) |
        (value & mask);
    }
  }

  /** Puts what the guest may change back, as after a reset. */
  reset(): void {
    for (let i = 0; i < CONFIG_BYTES; i++) {
      this.#bytes[i]! &= ~this.#writable[i]!;
    }
  }
}
