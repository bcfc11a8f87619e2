/** A short soak of chips that come and go, on a double of the kernel. */
import { assert } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import { GpioKernel } from "../doubles/gpio_kernel/kernel.ts";
import { runProgramsInside } from "../doubles/program/command.ts";
import { ConfigService } from "../environment/config_service.ts";
import { Random } from "../fuzz/ring_fuzz_random.ts";
import { ChipCell } from "../soak/chip_cell.ts";
import { ChipPlant, plantText } from "../soak/chip_plant.ts";

const ACTS = 25;
const SEED = 2;
/** Limit for an answer to an API client: the machine may be busy. */
const LIMIT_MS = 120_000;
const MAX_EXTRA = 3;

/** The wall clock of this process is not a test's to set. */
const STILL = {
  jumps: 0,
  jump: () => Promise.resolve(),
  step: () => Promise.resolve(),
};

Deno.test("lines are right while chips, guests, leases, forces and reloads come and go", async () => {
  using _kernel = GpioKernel.install();
  using _programs = runProgramsInside();
  await using service = await ConfigService.start((directory) =>
    plantText(directory, 0)
  );
  const directory = service.file.slice(0, service.file.lastIndexOf("/"));
  const random = new Random(SEED);
  // The chips come after the service.
  await using first = await ChipCell.create(directory, 0, random);
  await using second = await ChipCell.create(directory, 1, random);
  const client = new ServiceClient(service.api, { limitMs: LIMIT_MS });
  const plant = new ChipPlant([first, second], client, STILL, random);
  await plant.restore();
  const acts = [
    ...plant.acts,
    [
      "a reload",
      async () => {
        const text = plantText(directory, random.below(MAX_EXTRA + 1));
        Deno.writeTextFileSync(service.file, text);
        await client.reload();
      },
    ] as const,
  ];
  for (let i = 0; i < ACTS; i++) {
    // Each of them once, the last first: it needs chips and guests that are there.
    const [name, action] = acts.at(-1 - i) ?? random.pick(acts);
    try {
      await action();
      await plant.check();
      await plant.change();
      await plant.check();
    } catch (cause) {
      throw new Error(`${name}, act ${i}, seed ${SEED}: ${cause}`, { cause });
    }
  }
  await plant.restore();
  await plant.leave();
  const { creations, forces } = plant;
  const { plugs, returns, requests } = first;
  for (
    const [what, count] of Object.entries({
      ...{ creations, forces, plugs, returns, requests },
    })
  ) assert(count > 0, `no ${what}`);
});
