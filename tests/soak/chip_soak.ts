/**
 * A soak of chips that come and go, of a clock that is set, and of killed
 * processes, on a machine of its own: the wall clock is the machine's.
 *
 * @module
 */
import { Random } from "../fuzz/ring_fuzz_random.ts";
import { ChipCell } from "./chip_cell.ts";
import { KilledService } from "./chip_kills.ts";
import { ChipPlant } from "./chip_plant.ts";

/** The farthest that the clock is set to, from the begin. **Units**: seconds. */
const FAR_S = 10 * 365 * 86_400;

/** The wall clock of this machine. */
class MachineClock {
  jumps = 0;
  readonly #beginS = Math.floor(Date.now() / 1000);

  async jump(random: Random): Promise<void> {
    await this.#set(this.#beginS + random.below(2 * FAR_S) - FAR_S);
  }

  async step(seconds: number): Promise<void> {
    await this.#set(Math.floor(Date.now() / 1000) + seconds);
  }

  async #set(seconds: number): Promise<void> {
    const { success } = await new Deno.Command("date", {
      args: ["-s", `@${seconds}`],
      stdout: "null",
    }).output();
    if (!success) throw new Error("Cannot set the clock");
    this.jumps++;
  }
}

/** Options of a soak. */
interface ChipSoakOptions {
  /** Time that it takes at least; each act comes once in any case. */
  readonly seconds: number;
  readonly seed: number;
  readonly log?: (text: string) => void;
}

/**
 * Runs it.
 *
 * @returns How often each thing was done.
 * @throws {Error} If a wire or an answer is wrong.
 */
export async function runChipSoak(
  { seconds, seed, log = () => {} }: ChipSoakOptions,
): Promise<Record<string, number>> {
  const random = new Random(seed);
  await using service = new KilledService(random);
  const { directory, client } = service;
  await using first = await ChipCell.create(directory, 0, random);
  await using second = await ChipCell.create(directory, 1, random);
  await service.start([first, second]);
  const clock = new MachineClock();
  const plant = new ChipPlant([first, second], client, clock, random);
  await plant.restore();
  const acts = [...plant.acts, ...service.acts];
  const deadline = performance.now() + 1000 * seconds;
  let count = 0;
  // The kills come first, while all chips are there.
  for (; count < acts.length || performance.now() < deadline; count++) {
    const [name, action] = acts.at(-1 - count) ?? random.pick(acts);
    log(`${count}: ${name}`);
    try {
      await action();
      for (let i = 0; i < 2; i++) {
        await plant.check();
        await service.check();
        await plant.change();
        service.change();
      }
    } catch (cause) {
      throw new Error(
        `${name}, act ${count}, seed ${seed}: ${cause}\n${service.log}`,
        { cause },
      );
    }
  }
  await plant.restore();
  await plant.leave();
  return {
    acts: count,
    "requests of guests": first.requests + second.requests,
    "guests that left": first.returns + second.returns,
    "chips that came back": first.plugs + second.plugs,
    "under another number": first.renames + second.renames,
    "times that the clock was set": clock.jumps,
    "leases": plant.creations,
    "forces": plant.forces,
    ...Object.fromEntries(
      Object.entries(service.kills).map((
        [kind, kills],
      ) => [`times that ${kind} was killed`, kills]),
    ),
  };
}
