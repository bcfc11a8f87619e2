/** Lines in lanes: a removed line is free for the next user. */
import { assertEquals } from "@std/assert";
import { Chip } from "../../src/gpio/mod.ts";
import { ApiService } from "../environment/api_service.ts";
import { ConfigService } from "../environment/config_service.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { rounds } from "../environment/rounds.ts";
import { assertNoMoreFds, settledFdCount } from "../process/server_usage.ts";

/** As many lines as a lane needs some time to let go. */
const LINES = 64;
const ROUNDS = rounds(20, 4);

const RULES = {
  alone: ",lane,direction=output,safe=0",
  shared: ",lane,direction=input,shared",
  combined: ",lane,direction=output,safe=0,combine=or",
} as const;

/** Offsets of lines that are in use. */
function used(watcher: Chip): number[] {
  return watcher.lines().filter(({ used }) => used).map(({ offset }) => offset);
}

for (const [kind, rules] of Object.entries(RULES)) {
  Deno.test(`lines in a lane (${kind}) are free when their removal is answered`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: LINES });
    await using service = await ApiService.start();
    const { client } = service;
    using watcher = Chip.open(chip.path);
    const lines = [`${chip.name}/0-${LINES - 1}${rules}`];
    let fds = 0;
    for (let round = 0; round < ROUNDS; round++) {
      // The first round loads what is needed ever after.
      await client.createLasting({ name: "a", lines });
      await client.remove("a");
      assertEquals(used(watcher), [], `round ${round}`);
      {
        await using _leased = await client.create({ name: "a", lines });
        assertEquals(used(watcher).length, LINES);
      }
      assertEquals(used(watcher), [], `round ${round}`);
      if (round === 0) fds = await settledFdCount(service.process.pid);
    }
    await assertNoMoreFds(service.process.pid, fds);
  });
}

for (const kind of ["shared", "combined"] as const) {
  Deno.test(`a line in a lane (${kind}) passes from the one who goes to the one who comes`, async () => {
    await using chip = await SimChip.create(localFiles, { lines: LINES });
    await using service = await ApiService.start();
    const { client } = service;
    using watcher = Chip.open(chip.path);
    const lines = [`${chip.name}/0-${LINES - 1}${RULES[kind]}`];
    await client.createLasting({ name: "user0", lines });
    for (let round = 1; round <= ROUNDS; round++) {
      // At the same time, the one first or the other.
      const coming = () =>
        client.createLasting({ name: `user${round}`, lines });
      const going = () => client.remove(`user${round - 1}`);
      const both = round % 2 === 0 ? [coming(), going()] : [going(), coming()];
      await Promise.all(both);
      assertEquals(used(watcher).length, LINES, `round ${round}`);
    }
    await client.remove(`user${ROUNDS}`);
    assertEquals(used(watcher), []);
  });
}

Deno.test("several who want a shared line in a lane at once all get it", async () => {
  await using chip = await SimChip.create(localFiles, { lines: LINES });
  await using service = await ApiService.start();
  const { client } = service;
  using watcher = Chip.open(chip.path);
  const lines = [`${chip.name}/0-${LINES - 1}${RULES.shared}`];
  const names = ["a", "b", "c", "d"];
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      names.map((name) => client.createLasting({ name, lines })),
    );
    await Promise.all(names.map((name) => client.remove(name)));
    assertEquals(used(watcher), [], `round ${round}`);
  }
});

Deno.test("an aggregator that cannot be had leaves no line in a lane", async () => {
  await using chip = await SimChip.create(localFiles, { lines: LINES });
  await using service = await ApiService.start();
  const { client } = service;
  const lines = [`${chip.name}/0-${LINES - 1}${RULES.alone}`];
  // Its socket cannot be made, which is found out after the lane was started.
  await Deno.mkdir(service.socket("a"));
  for (let round = 0; round < 3; round++) {
    const { status } = await client.createLasting({ name: "a", lines })
      .then(() => ({ status: 201 }), (error) => error);
    assertEquals(status, 409);
  }
  await client.createLasting({ name: "b", lines });
  using watcher = Chip.open(chip.path);
  await client.remove("b");
  assertEquals(used(watcher), []);
});

Deno.test("a reload replaces an aggregator with lines in a lane", async () => {
  await using chip = await SimChip.create(localFiles, { lines: LINES });
  const config = (last: number) => (directory: string) => `
aggregators:
  a:
    vhost-user: ${directory}/a.sock
    lines: [ "${chip.name}/0-${last}${RULES.alone}" ]
`;
  await using service = await ConfigService.start(config(LINES - 1));
  using watcher = Chip.open(chip.path);
  for (let round = 0; round < 5; round++) {
    const last = LINES - 2 + round % 2;
    const { replaced, refused } = await service.hangUp(config(last));
    assertEquals([replaced, refused], [["a"], []]);
    assertEquals(used(watcher).length, last + 1);
  }
});
