/**
 * A guest on lines of a simulated chip that is unplugged and comes back, and
 * what each wire must be at every moment.
 *
 * @module
 */
import {
  Direction,
  EventStatus,
  GpioDriver,
  IrqType,
} from "../../src/vhost_frontend/driver.ts";
import { RequestRefused } from "../../src/vhost_frontend/errors.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import type { Random } from "../fuzz/ring_fuzz_random.ts";
import { MovingChip } from "../uml_host/moving_chip.ts";
import { WrongValue } from "./cell.ts";

/** Limit for each answer and each effect; the machine may be busy. */
const LIMIT_MS = 60_000;
const LOOK_MS = 20;
/** Time in which no second interrupt comes. **Units**: milliseconds. */
const QUIET_MS = 30;
/** Longer than the `min-interval` of a line. **Units**: milliseconds. */
const INTERVAL_MS = 5;

/** Lines of a chip; the guest has those up to {@linkcode COMMON}. */
const L = { OUT: 0, STAY: 1, KEEP: 2, ANY: 3, IN: 4, EDGE: 5 } as const;
/** The guest's line on the second chip, of which both guests are users. */
const COMMON = 6;
/** Line of API clients. */
export const LEASED = 6;
/** Index of the common line's chip, and the line's place on it. */
export const COMMON_CHIP = 1;
export const COMMON_OFFSET = 7;
const LINES = 8;

/** Returns the label of a chip. */
export function chipLabel(index: number): string {
  return `soak${index}`;
}

/** Returns what the configuration has about a cell. */
export function chipCellText(directory: string, index: number): string {
  const chip = chipLabel(index);
  // The second chip's lines are served by a thread of its own.
  const how = `chip: ${chip}, lane: ${index === 1}`;
  return `  c${index}:
    vhost-user: ${directory}/c${index}.sock
    defaults: { optional: true }
    lines:
      - { ${how}, offset: 0, as: OUT, direction: output, safe: 0, safe-after: 600s }
      - { ${how}, offset: 1, as: STAY, direction: output, safe: 1 }
      - { ${how}, offset: 2, as: KEEP, direction: output, on-disconnect: keep, min-interval: 1ms }
      - { ${how}, offset: 3, as: ANY, on-disconnect: input }
      - { ${how}, offset: 4, as: IN, direction: input }
      - { ${how}, offset: 5, as: EDGE, direction: input }
      - { chip: ${
    chipLabel(COMMON_CHIP)
  }, lane: true, offset: ${COMMON_OFFSET}, as: COMMON, direction: output, combine: or }
`;
}

/** A chip and its guest. **Ownership**: of both. */
export class ChipCell implements AsyncDisposable {
  readonly #index: number;
  readonly #socket: string;
  readonly #random: Random;
  /** Takes the number of a chip that is away. */
  #stranger: SimChip | undefined;
  #frontend: Frontend | undefined;
  #driver: GpioDriver | undefined;
  #out = 0;
  #stay = 1;
  #keep = 0;
  /** Set once this guest, not one before it, has set the line that keeps. */
  #isKeepAsked = false;
  /** Level of the line of both directions, and whether the guest drives it. */
  #any = 0;
  #isAnyDriven = false;
  #in = 0;
  #edge = 0;
  /** Value that this guest requests of the common line. */
  common = 0;
  /** Value of {@linkcode L.OUT} while an operator forces it. */
  forced: 0 | 1 | undefined;
  isPlugged = true;
  requests = 0;
  returns = 0;
  /** Number of times that the chip came back, and under another number. */
  plugs = 0;
  renames = 0;

  private constructor(
    readonly chip: MovingChip,
    directory: string,
    index: number,
    random: Random,
  ) {
    this.#index = index;
    this.#socket = `${directory}/c${index}.sock`;
    this.#random = random;
  }

  /** Makes the chip; {@linkcode connect} is next, once there is a service. */
  static async create(
    directory: string,
    index: number,
    random: Random,
  ): Promise<ChipCell> {
    const chip = await MovingChip.create(chipLabel(index), LINES);
    return new ChipCell(chip, directory, index, random);
  }

  get isConnected(): boolean {
    return this.#driver !== undefined;
  }

  /** The guest comes. */
  connect(): void {
    this.#frontend = Frontend.open(this.#socket, { timeoutMs: LIMIT_MS });
    this.#driver = GpioDriver.attach(this.#frontend);
  }

  /** The guest goes, and its lines where their rules say. */
  leave(): void {
    this.#frontend![Symbol.dispose]();
    this.#frontend = this.#driver = undefined;
    this.#out = this.common = 0;
    this.#stay = 1;
    this.#isKeepAsked = false;
    // An input of a simulated chip keeps the level that it was driven to.
    this.#isAnyDriven = false;
    if (!this.isPlugged) this.#any = 0;
    this.returns++;
  }

  /** Changes a value: from the guest, or from outside. */
  async change(): Promise<void> {
    const random = this.#random;
    const value = random.below(2);
    switch (random.below(7)) {
      case 0:
        return this.#set(L.OUT, value, () => this.#out = value);
      case 1:
        return this.#set(L.STAY, value, () => this.#stay = value);
      case 2:
        return await this.#setKeep(value);
      case 3:
        return this.#setAny(value);
      case 4:
        return this.#set(COMMON, value, () => this.common = value);
      case 5:
        if (!this.isPlugged) return;
        await this.chip.pull(L.IN, value === 1 ? "up" : "down");
        this.#in = value;
        return;
      default:
        return await this.#changeEdge();
    }
  }

  /** The guest sets its outputs to what they are not at first. */
  async leaveDefaults(): Promise<void> {
    if (!this.isPlugged) return;
    this.#set(L.OUT, 1, () => this.#out = 1);
    this.#set(L.STAY, 0, () => this.#stay = 0);
    await this.#setKeep(1);
    this.#setAny(1);
    this.#set(COMMON, 1, () => this.common = 1);
  }

  /** Returns true if the common line's chip is there, which may be another's. */
  isCommonPlugged: () => boolean = () => this.isPlugged;

  /** Takes the chip away, or brings it back, under another number or not. */
  async move(): Promise<void> {
    if (this.isPlugged) {
      await this.chip.unplug();
      this.isPlugged = false;
      // A simulated chip forgets its pulls.
      this.#in = this.#edge = 0;
      if (!this.#isAnyDriven) this.#any = 0;
      if (this.#random.oneIn(2)) {
        this.#stranger = await SimChip.create(localFiles, {
          label: `stranger${this.#index}`,
          lines: LINES,
        });
      }
      return;
    }
    const before = this.chip.name;
    await this.chip.plug();
    await this.#stranger?.[Symbol.asyncDispose]();
    this.#stranger = undefined;
    this.isPlugged = true;
    this.plugs++;
    if (this.chip.name !== before) this.renames++;
  }

  /**
   * Waits until the wires and the guest have what they must have, then looks
   * once more: nothing may change by itself.
   */
  async check(): Promise<void> {
    const deadline = performance.now() + LIMIT_MS;
    let difference = await this.#difference();
    while (difference !== "" && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      difference = await this.#difference();
    }
    difference ||= await this.#difference();
    if (difference !== "") {
      throw new WrongValue(`c${this.#index}: ${difference}`);
    }
  }

  /**
   * The process that served it has died. Its guest goes on: what it asked of the
   * lines of a chip that is away holds when that returns. What a guest before it
   * left is gone with the process, unless the chip is there.
   */
  forget(): void {
    if (!this.isPlugged && !this.#isKeepAsked) this.#keep = 0;
  }

  /** Returns true if the wire of a line has a level; unknown while it is away. */
  async isLevel(offset: number, value: number): Promise<boolean> {
    return !this.isPlugged || await this.chip.level(offset) === value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#frontend?.[Symbol.dispose]();
    await this.#stranger?.[Symbol.asyncDispose]();
    if (!this.isPlugged) await this.chip.plug();
    await this.chip[Symbol.asyncDispose]();
  }

  /** Returns what is wrong, in words; nothing if all is right. */
  async #difference(): Promise<string> {
    const { OUT, STAY, KEEP, ANY, IN, EDGE } = L;
    const found: string[] = [];
    if (this.isPlugged) {
      for (
        const [name, offset, value] of [
          ["OUT", OUT, this.forced ?? this.#out],
          ["STAY", STAY, this.#stay],
          ["KEEP", KEEP, this.#keep],
          ["ANY", ANY, this.#any],
          ["IN", IN, this.#in],
          ["EDGE", EDGE, this.#edge],
        ] as const
      ) {
        const level = await this.chip.level(offset);
        if (level !== value) {
          found.push(`wire ${name} is ${level}, not ${value}`);
        }
      }
    } else if (this.#stranger !== undefined) {
      for (let offset = 0; offset < LINES; offset++) {
        if (await this.#stranger.level(offset) !== 0) {
          found.push(`wire ${offset} of a foreign chip is driven`);
        }
      }
    }
    if (this.#driver !== undefined) {
      for (
        const [name, line, value] of [
          ["OUT", OUT, this.#out],
          ["STAY", STAY, this.#stay],
          ["KEEP", KEEP, this.#keep],
          ["ANY", ANY, this.#any],
          ["IN", IN, this.#in],
        ] as const
      ) {
        const read = this.#read(line);
        const expected = this.isPlugged ? value : undefined;
        // What a guest reads of a forced output is the wire.
        if (line === OUT && this.forced !== undefined) continue;
        if (read !== expected) {
          found.push(`the guest reads ${name} as ${read}, not ${expected}`);
        }
      }
      const common = this.#read(COMMON);
      if ((common === undefined) === this.isCommonPlugged()) {
        found.push(`the guest reads COMMON as ${common}`);
      }
    }
    return found.join("; ");
  }

  /** A change of a pull interrupts exactly once. */
  async #changeEdge(): Promise<void> {
    const driver = this.#driver;
    if (driver === undefined || !this.isPlugged) return;
    driver.setInterruptType(L.EDGE, IrqType.EdgeBoth);
    driver.arm(L.EDGE);
    const value = 1 - this.#edge;
    await this.chip.pull(L.EDGE, value === 1 ? "up" : "down");
    this.#edge = value;
    const event = driver.waitEvent(LIMIT_MS);
    if (event?.lineNumber !== L.EDGE || event.status !== EventStatus.Valid) {
      throw new WrongValue(`c${this.#index}: no interrupt for an edge`);
    }
    driver.arm(L.EDGE);
    if (driver.waitEvent(QUIET_MS) !== undefined) {
      throw new WrongValue(`c${this.#index}: two interrupts for one edge`);
    }
    driver.setInterruptType(L.EDGE, IrqType.None);
    driver.waitEvent(0);
    this.requests += 4;
  }

  async #setKeep(value: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    this.#set(L.KEEP, value, () => {
      this.#keep = value;
      this.#isKeepAsked = true;
    });
  }

  #setAny(value: number): void {
    this.#set(L.ANY, value, () => {
      this.#any = value;
      this.#isAnyDriven = true;
    });
  }

  /** Sets an output; refused if its chip is away, and at no other time. */
  #set(line: number, value: number, done: () => void): void {
    if (this.#driver === undefined) return;
    const isThere = line === COMMON ? this.isCommonPlugged() : this.isPlugged;
    let isRefused = false;
    try {
      this.#driver.setOutput(line, value, Direction.Output);
    } catch (error) {
      if (!(error instanceof RequestRefused)) throw error;
      isRefused = true;
    }
    this.requests++;
    if (line === COMMON && !isThere) {
      // A wish for what it is to be anyway needs no chip, and one that ends
      // something is kept also if it is refused.
      if (!isRefused || value === 0) done();
      return;
    }
    if (isRefused === isThere) {
      throw new WrongValue(
        `c${this.#index}: line ${line} = ${value} was ${
          isRefused ? "refused" : "allowed"
        }, its chip is ${isThere ? "there" : "away"}`,
      );
    }
    if (!isRefused) done();
  }

  #read(line: number): number | undefined {
    this.requests++;
    try {
      return this.#driver!.getValue(line);
    } catch (error) {
      if (error instanceof RequestRefused) return undefined;
      throw error;
    }
  }
}
