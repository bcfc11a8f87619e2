/** A lane that dies whole: what its lines do, and what others notice. */
import { assert, assertEquals } from "@std/assert";
import { settlesWithin } from "../../src/async/wait.ts";
import { parseLineSpec } from "../../src/config/spec/line_spec.ts";
import { Chip } from "../../src/gpio/mod.ts";
import type { ServiceEvent } from "../../src/service/messages/messages.ts";
import { ReactorClient } from "../../src/service/reactor/reactor_client.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";

const LIMIT_MS = 60_000;

/** Waits until `isOver` says so. */
async function until(
  isOver: () => boolean | Promise<boolean>,
  what: string,
): Promise<void> {
  const end = performance.now() + LIMIT_MS;
  while (!await isOver()) {
    assert(performance.now() < end, `${what} did not happen`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

Deno.test("a lane that dies costs its own lines, which are safe until another one has them", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 4 });
  const directory = await Deno.makeTempDir();
  const program = new URL(
    `../doubles/dying_lane_worker.ts?flag=${directory}/die`,
    import.meta.url,
  );
  const events: ServiceEvent[] = [];
  const crashed: Error[] = [];
  using reactor = await ReactorClient.start(
    {
      service: (event) => events.push(event),
      idle: () => {},
      crashed: (error) => crashed.push(error),
    },
    undefined,
    program,
  );
  await reactor.add([
    {
      name: "press",
      vhostUser: { socketPath: `${directory}/press.sock` },
      lines: parseLineSpec(
        `${chip.name}/0-1,lane,direction=output,initial=1,safe=0`,
      ),
    },
    {
      name: "other",
      vhostUser: { socketPath: `${directory}/other.sock` },
      lines: parseLineSpec(`${chip.name}/2,direction=output,initial=1`),
    },
  ]);
  using watcher = Chip.open(chip.path);
  const used = () =>
    watcher.lines().filter(({ used }) => used).map(({ offset }) => offset);
  assertEquals(used(), [0, 1, 2]);
  assertEquals(await chip.level(0), 1);
  const countOf = (wanted: string) =>
    events.filter(({ event }) => event === wanted).length;
  for (let death = 1; death <= 2; death++) {
    events.length = 0;
    await Deno.writeTextFile(`${directory}/die`, "");
    await until(() => countOf("unplugged") === 2, "the loss of both lines");
    assertEquals(used().includes(2), true, "another aggregator's line");
    await until(() => countOf("plugged") === 2, "the successor");
    const [fault, ...more] = events.filter(({ event }) => event === "fault");
    assertEquals(more, []);
    assertEquals(fault?.aggregator, "press");
    assert(fault?.detail.includes("provoked"), fault?.detail);
    assertEquals(events.filter(({ aggregator }) => aggregator === "other"), []);
    assertEquals(used(), [0, 1, 2]);
  }
  const [press] = await reactor.describe("press");
  assertEquals(press?.lines.map(({ direction }) => direction), [
    "output",
    "output",
  ]);
  await reactor.remove("press");
  assertEquals(used(), [2]);
  assertEquals(await chip.level(0), 0);
  assertEquals(crashed, []);
  assert(await settlesWithin(reactor.shutdown(), LIMIT_MS));
  await Deno.remove(directory, { recursive: true });
});
