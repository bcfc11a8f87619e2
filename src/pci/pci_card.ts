/**
 * Interface between a PCI card and the way in which a VMM reaches it.
 *
 * @module
 */

/** A base address register of a card. */
interface Bar {
  /** Number of the register, 0 to 5. */
  readonly index: number;
  /** **Units**: bytes; a power of two, at least 16. */
  readonly size: number;
}

/** A card with one function, memory BARs and INTx. Nothing of it throws. */
export interface PciCard {
  readonly vendor: number;
  readonly device: number;
  /** Class code: 24 bits. */
  readonly classCode: number;
  readonly bars: readonly Bar[];
  /** Size of the state of a session. **Units**: 32-bit words. */
  readonly stateWords: number;
  /** True while the card asserts its interrupt line. */
  readonly isInterrupting: boolean;
  /** Called when {@linkcode PciCard.isInterrupting} may have changed. */
  onInterrupt: () => void;
  /**
   * A VMM is there: has the card's state in `words` from now on, until
   * {@linkcode PciCard.disconnect}.
   *
   * @param isResumed True if the words hold the state of a session that an
   * earlier process served: the guest goes on. Otherwise they are 0.
   */
  begin(words: Int32Array, isResumed: boolean): void;
  /**
   * Reads `size` bytes (1, 2, 4 or 8) of a BAR. The range is inside the BAR.
   *
   * @returns The value; of 8 bytes the lower 32 bits.
   */
  read(bar: number, offset: number, size: number): number;
  /** Writes as {@linkcode PciCard.read} reads. */
  write(bar: number, offset: number, size: number, value: number): void;
  /** The guest or its VMM resets the card: the guest is gone. */
  reset(): void;
  /** The VMM is gone. */
  disconnect(): void;
}
