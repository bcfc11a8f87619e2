/**
 * Registers of a controller that show which pins the guest drives, and how.
 *
 * @module
 */
import { PINS_PER_BANK, type RegisterBank } from "./controllers.ts";

interface BankState {
  readonly registers: RegisterBank;
  /** Bank index within the controller. */
  readonly index: number;
  directions: number;
  levels: number;
}

/** Asks for the word at an offset; it arrives later, in the order of asking. */
type ReadWord = (offset: number, take: (word: number) => void) => void;

/** The banks that have pins in use, as they were read last. */
export class RegisterBanks {
  readonly #banks: readonly BankState[];
  readonly #inverted: readonly BankState[];

  /** Makes the banks among `registers` in which the `pins` are. */
  constructor(registers: readonly RegisterBank[], pins: readonly number[]) {
    const used = new Set(pins.map((pin) => Math.floor(pin / PINS_PER_BANK)));
    this.#banks = registers.map((registers, index) => ({
      registers,
      index,
      directions: 0,
      levels: 0,
    })).filter(({ index }) => used.has(index));
    this.#inverted = this.#banks.filter(({ registers }) =>
      registers.inversion !== undefined
    );
  }

  /** True if there are none: only rules define the directions. */
  get isEmpty(): boolean {
    return this.#banks.length === 0;
  }

  /**
   * Reads all banks: directions first, then levels.
   *
   * @param onDirections Called when the last direction is known.
   * @param onDone Called when everything is.
   */
  read(
    readWord: ReadWord,
    onDirections: () => void,
    onDone: () => void,
  ): void {
    const last = this.#banks.at(-1);
    const inverted = this.#inverted;
    for (const bank of this.#banks) {
      readWord(bank.registers.direction, (word) => {
        bank.directions = word;
        if (bank === last) onDirections();
      });
    }
    for (const bank of this.#banks) {
      readWord(bank.registers.data, (word) => {
        bank.levels = word;
        if (bank === last && inverted.length === 0) onDone();
      });
    }
    for (const bank of inverted) {
      readWord(bank.registers.inversion!, (word) => {
        bank.levels ^= word;
        if (bank === inverted.at(-1)) onDone();
      });
    }
  }

  /** Returns true if the guest drives a pin. */
  isOutput(pin: number): boolean {
    return this.#bit(pin, "directions") === 1;
  }

  /** Returns the level that the guest drives a pin to. */
  pinLevel(pin: number): 0 | 1 {
    return this.#bit(pin, "levels");
  }

  #bit(pin: number, word: "directions" | "levels"): 0 | 1 {
    const index = Math.floor(pin / PINS_PER_BANK);
    const bank = this.#banks.find((bank) => bank.index === index);
    return bank === undefined
      ? 0
      : (bank[word] >>> (pin % PINS_PER_BANK) & 1) as 0 | 1;
  }
}
