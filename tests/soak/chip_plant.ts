/**
 * A service on simulated chips, its guests, its API clients and its operators.
 *
 * @module
 */
import type {
  HeldForce,
  LeasedAggregator,
  ServiceClient,
} from "../../src/client/client.ts";
import { until } from "../environment/wait.ts";
import type { Random } from "../fuzz/ring_fuzz_random.ts";
import { WrongValue } from "./cell.ts";
import {
  type ChipCell,
  chipCellText,
  chipLabel,
  COMMON_CHIP,
  COMMON_OFFSET,
  LEASED,
} from "./chip_cell.ts";

/** Limit for each effect; the machine may be busy. **Units**: milliseconds. */
const LIMIT_MS = 60_000;
/** A force that is over in a moment, and one that is not. */
const SHORT_FORCE = "300ms";
const LONG_FORCE = "1h";
const LONG_FORCE_MS = 3_600_000;
const HOUR_S = 3600;

/** A wall clock that is set. */
interface SettableClock {
  /** Number of times that it was set. */
  readonly jumps: number;
  /** Sets it far away. */
  jump(random: Random): Promise<void>;
  /** Sets it by some seconds. */
  step(seconds: number): Promise<void>;
}

/** Something that is done to the plant, with its name. */
type Act = readonly [name: string, action: () => Promise<void> | void];

/** Returns the configuration of two cells. */
export function plantText(
  directory: string,
  extra: number,
  edges?: string,
): string {
  const others = Array.from({ length: extra }, (_, i) =>
    `  x${i}:
    vhost-user: ${directory}/x${i}.sock
    lines: [ { sim: 2, as: LINE } ]
`);
  const record = edges === undefined
    ? ""
    : `record: { keep: 4000, file: ${edges}, size: 4MB }\n`;
  return `${record}aggregators:
${chipCellText(directory, 0)}${chipCellText(directory, 1)}${others.join("")}`;
}

/** Guests, leases and forces, and what the wires must be. */
export class ChipPlant {
  readonly #cells: readonly [ChipCell, ChipCell];
  readonly #client: ServiceClient;
  readonly #clock: SettableClock;
  readonly #random: Random;
  #lease: LeasedAggregator | undefined;
  #leases = 0;
  /** Aggregators that were made and removed, with a lease each. */
  creations = 0;
  /** Forces that ended in time, whatever the wall clock said. */
  forces = 0;

  constructor(
    cells: readonly [ChipCell, ChipCell],
    client: ServiceClient,
    clock: SettableClock,
    random: Random,
  ) {
    this.#cells = cells;
    this.#client = client;
    this.#clock = clock;
    this.#random = random;
    for (const cell of cells) {
      cell.isCommonPlugged = () => cells[COMMON_CHIP].isPlugged;
    }
  }

  /** All that happens to it: chips move as often as they come back. */
  get acts(): readonly Act[] {
    return [
      ["a guest comes or goes", () => this.comeOrGo()],
      ["a chip moves", () => this.move()],
      ["a chip moves", () => this.move()],
      ["the clock jumps", () => this.jump()],
      ["a lease", () => this.lease()],
      ["a force", () => this.force()],
    ];
  }

  /** Changes values of both guests. */
  async change(): Promise<void> {
    for (let i = 1 + this.#random.below(6); i > 0; i--) {
      await this.#random.pick(this.#cells).change();
    }
  }

  /** A guest goes, or comes. */
  comeOrGo(): void {
    const cell = this.#random.pick(this.#cells);
    if (cell.isConnected) cell.leave();
    else cell.connect();
  }

  /** A chip is unplugged, or comes back. */
  async move(): Promise<void> {
    await this.#random.pick(this.#cells).move();
  }

  /** An API client makes an aggregator that lives as long as its lease; or ends it. */
  async lease(): Promise<void> {
    const lease = this.#lease;
    if (lease !== undefined) {
      // It lives on until its line is safe, and so until its chip is back.
      if (!this.#cells[0].isPlugged) return;
      this.#lease = undefined;
      await lease[Symbol.asyncDispose]();
      this.creations++;
      return;
    }
    this.#lease = await this.#client.create({
      name: `lease${this.#leases++}`,
      lines: [
        `${chipLabel(0)}/${LEASED},direction=output,initial=1,safe=0,optional`,
      ],
    });
  }

  /**
   * An operator forces a line while the wall clock is set: one force is not over
   * before its time, and one is not over later.
   */
  async force(): Promise<void> {
    const cell = this.#random.pick(this.#cells);
    // A safe state without a guest is not overridden.
    if (!cell.isPlugged || !cell.isConnected) return;
    const name = `c${this.#cells.indexOf(cell)}`;
    const value = this.#random.below(2) as 0 | 1;
    const lines = { OUT: value };
    const reason = "soak";
    const from = performance.now();
    {
      await using _force: HeldForce = await this.#client.force(name, {
        lines,
        for: LONG_FORCE,
        reason,
      });
      cell.forced = value;
      await this.#clock.step(2 * HOUR_S);
      await this.check();
      if (performance.now() - from > LONG_FORCE_MS) throw new Error("too slow");
      cell.forced = undefined;
    }
    await this.check();
    await this.#client.forceDetached(name, { lines, for: SHORT_FORCE, reason });
    await this.#clock.step(-2 * HOUR_S);
    // The guest's value, without any further word.
    await this.check();
    await until(
      "the end of a force",
      async () =>
        (await this.#client.show(name)).lines.every(({ forced }) =>
          forced === undefined
        ),
      LIMIT_MS,
    );
    this.forces++;
  }

  /** Sets the wall clock; a later edge is found by the time that it shows now. */
  async jump(): Promise<void> {
    await this.#clock.jump(this.#random);
    await this.#client.createLasting({ name: "clocked", lines: ["sim/1"] });
    try {
      const from = `${BigInt(Date.now() - 1) * 1_000_000n}`;
      await this.#client.pull("clocked", { "0": 1 });
      await this.check();
      await until(
        `an edge after ${from} in the history`,
        async () => {
          const { edges } = await this.#client.history({
            from,
            lines: ["clocked"],
          });
          return edges.some(({ value }) => value === 1);
        },
        LIMIT_MS,
      );
    } finally {
      await this.#client.remove("clocked");
    }
  }

  /** Waits until all wires and guests have what they must have. */
  async check(): Promise<void> {
    const [first, second] = this.#cells;
    for (const cell of this.#cells) await cell.check();
    const common = first.common | second.common;
    await this.#await("the common wire", COMMON_CHIP, COMMON_OFFSET, common);
    const leased = this.#lease === undefined ? 0 : 1;
    await this.#await("the leased wire", 0, LEASED, leased);
    if (this.#lease !== undefined) {
      const { name } = this.#lease;
      await until(
        `${name} lives on`,
        async () =>
          (await this.#client.list()).some((one) => one.name === name),
        LIMIT_MS,
      );
    }
  }

  /** Brings everything to where it began: chips there, guests there, no lease. */
  async restore(): Promise<void> {
    for (const cell of this.#cells) {
      if (!cell.isPlugged) await cell.move();
      if (!cell.isConnected) cell.connect();
    }
    if (this.#lease !== undefined) await this.lease();
    await this.check();
  }

  /** All guests go; each line must be safe. */
  async leave(): Promise<void> {
    for (const cell of this.#cells) if (cell.isConnected) cell.leave();
    await this.check();
  }

  async #await(
    what: string,
    chip: 0 | 1,
    offset: number,
    value: number,
  ): Promise<void> {
    const cell = this.#cells[chip];
    try {
      await until(what, () => cell.isLevel(offset, value), LIMIT_MS);
    } catch (error) {
      throw new WrongValue(`${what} is not ${value}: ${error}`);
    }
  }
}
