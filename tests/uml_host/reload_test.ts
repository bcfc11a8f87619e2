/** Another configuration for a service that runs, on simulated chips. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { Chip } from "../../src/gpio/mod.ts";
import { RequestRefused } from "../../src/vhost_frontend/errors.ts";
import { IrqType } from "../../src/virtio/gpio/protocol.ts";
import { ConfigService } from "../environment/config_service.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";

function isUsed(chip: SimChip, offset: number): boolean {
  using opened = Chip.open(chip.path);
  return opened.lineInfo(offset).used;
}

/** An aggregator of three lines of a chip, from a line on. */
function aggregator(
  directory: string,
  name: string,
  first: number,
  rules = "",
): string {
  return `
  ${name}:
    vhost-user: ${directory}/${name}.sock
    lines:
      - { chip: io, offset: ${first}, as: OUT, direction: output${rules} }
      - { chip: io, offset: ${first + 1}, as: IN, direction: input }
`;
}

const ALL = (...aggregators: string[]) => `aggregators:${aggregators.join("")}`;

Deno.test("a reload adds and removes aggregators while a guest misses nothing", async () => {
  await using chip = await SimChip.create(localFiles, {
    label: "io",
    lines: 8,
  });
  await using service = await ConfigService.start((directory) =>
    ALL(aggregator(directory, "stay", 0), aggregator(directory, "go", 2))
  );
  using guest = service.guest("stay");
  const { driver } = guest;
  driver.setInterruptType(1, IrqType.EdgeBoth);
  driver.arm(1);
  assert(isUsed(chip, 2));
  let requests = 0;
  let isOver = false;
  const toggling = (async () => {
    while (!isOver) {
      driver.setValue(0, requests % 2 as 0 | 1);
      assertEquals(driver.getValue(0), requests % 2);
      requests++;
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  })();
  const said = await service.hangUp((directory) =>
    ALL(aggregator(directory, "stay", 0), aggregator(directory, "come", 4))
  );
  isOver = true;
  await toggling;
  assertEquals([said.added, said.removed, said.refused], [
    ["come"],
    ["go"],
    [],
  ]);
  assert(requests > 2, `${requests} rounds of requests were answered`);
  assertEquals(service.said("disconnected"), []);
  assertEquals(fileStatus(service.socket("go")), undefined);
  assertEquals(isUsed(chip, 2), false);
  using next = service.guest("come");
  next.driver.setValue(0, 1);
  assertEquals(await chip.level(4), 1);
  await chip.pull(1, "up");
  assertEquals(driver.waitEvent(5000)?.lineNumber, 1);
});

Deno.test("a reload of a file that is not valid changes nothing and says why", async () => {
  await using _chip = await SimChip.create(localFiles, {
    label: "io",
    lines: 8,
  });
  await using service = await ConfigService.start((directory) =>
    ALL(aggregator(directory, "a", 0))
  );
  using guest = service.guest("a");
  const broken = (directory: string) =>
    ALL(
      aggregator(directory, "a", 0),
      aggregator(directory, "b", 2, ", bias: up, colour: red"),
    );
  const said = await service.hangUp(broken);
  const errors = said.errors as { line: number; path: string; hint: string }[];
  assertEquals(errors.map(({ line, path }) => `${line} ${path}`), [
    "11 aggregators.b.lines[0].bias",
    "11 aggregators.b.lines[0].colour",
  ]);
  const { code, stderr } = await service.reload(broken);
  assertEquals(code, 2);
  assert(stderr.includes(":11:"), stderr);
  assert(stderr.includes(`unknown key "colour"`), stderr);
  guest.driver.setValue(0, 1);
  assertEquals(fileStatus(service.socket("b")), undefined);
});

Deno.test("a reload gives a running guest's lines other rules", async () => {
  await using chip = await SimChip.create(localFiles, {
    label: "io",
    lines: 8,
  });
  const config = (rules: string, locked: boolean) => (directory: string) =>
    ALL(
      aggregator(directory, "a", 0, rules),
      aggregator(directory, "b", 2),
    ) + (locked ? "interlocks: [{ exclusive: [a.OUT, b.OUT] }]\n" : "");
  await using service = await ConfigService.start(config("", false));
  {
    using a = service.guest("a");
    using b = service.guest("b");
    a.driver.setValue(0, 1);
    const said = await service.reload(
      config(", safe: 0, min-interval: 60s", true),
    );
    assertEquals(said.code, 0, said.stderr);
    assertEquals(said.stdout.trim(), "a: rules changed");
    assertThrows(() => b.driver.setValue(0, 1), RequestRefused);
    a.driver.setValue(0, 0);
    b.driver.setValue(0, 1);
    assertThrows(() => a.driver.setValue(0, 1), RequestRefused);
    const back = await service.reload(config(", safe: 1", false));
    assertEquals(back.code, 0, back.stderr);
    a.driver.setValue(0, 0);
    a.driver.setValue(0, 1);
    a.driver.setValue(0, 0);
    assertEquals(await chip.level(0), 0);
  }
  await service.heard("disconnected", 2);
  assertEquals(await chip.level(0), 1, "its new safe value");
});

Deno.test("a reload refuses what a running guest would notice, and says what", async () => {
  await using chip = await SimChip.create(localFiles, {
    label: "io",
    lines: 8,
  });
  await using service = await ConfigService.start((directory) =>
    ALL(aggregator(directory, "a", 0), aggregator(directory, "b", 2))
  );
  const changed = (directory: string) =>
    ALL(
      aggregator(directory, "a", 4, ", bias: pull-up"),
      aggregator(directory, "b", 2) +
        "      - { sim: 1 }\n",
      aggregator(directory, "c", 6),
    );
  {
    using _a = service.guest("a");
    using _b = service.guest("b");
    const { code, stdout } = await service.reload(changed);
    assertEquals(code, 1);
    const text = stdout.trim().split("\n");
    assertEquals(text, [
      "c: added",
      "a: not changed: line 0 (OUT): its source cannot change under " +
      "a running guest",
      "a: not changed: line 0 (OUT): bias cannot change under a running guest",
      "a: not changed: line 1 (IN): its source cannot change under " +
      "a running guest",
      "b: not changed: its guest sees 2 lines, which cannot become 3 under it",
    ]);
    assert(isUsed(chip, 0));
    assertEquals(isUsed(chip, 4), false);
  }
  await service.heard("disconnected", 2);
  // No guest is there any more: the same reload is done now.
  const { code, stdout, stderr } = await service.reload(changed);
  assertEquals(code, 0, stderr + stdout);
  assertEquals(stdout.trim().split("\n"), [
    "a: replaced, it has no guest",
    "b: replaced, it has no guest",
  ]);
  assertEquals([isUsed(chip, 0), isUsed(chip, 4)], [false, true]);
  using b = service.guest("b");
  assertEquals(b.driver.lineCount, 3);
});

Deno.test("a reload whose new lines cannot be had leaves the rest as it is", async () => {
  await using chip = await SimChip.create(localFiles, {
    label: "io",
    lines: 8,
    hogs: { 4: "the kernel" },
  });
  await using service = await ConfigService.start((directory) =>
    ALL(aggregator(directory, "a", 0))
  );
  using guest = service.guest("a");
  const { code, stdout } = await service.reload((directory) =>
    ALL(
      aggregator(directory, "a", 0),
      aggregator(directory, "busy", 4),
      aggregator(directory, "free", 6),
    )
  );
  assertEquals(code, 1);
  assert(stdout.includes("free: added"), stdout);
  assert(/busy: not changed: .*EBUSY/.test(stdout), stdout);
  guest.driver.setValue(0, 1);
  assertEquals(await chip.level(0), 1);
});

Deno.test("a shared line can be shared with an aggregator that a reload brings", async () => {
  await using chip = await SimChip.create(localFiles, {
    label: "io",
    lines: 2,
  });
  const config = (names: string[], lane: boolean) => (directory: string) =>
    ALL(...names.map((name) => `
  ${name}:
    vhost-user: ${directory}/${name}.sock
    lines: [ { chip: io, offset: 0, shared: true${
      lane ? ", lane: true" : ""
    } } ]
`));
  for (const lane of [false, true]) {
    await using service = await ConfigService.start(config(["a"], lane));
    const { code, stdout, stderr } = await service.reload(
      config(["a", "b"], lane),
    );
    assertEquals(code, 0, stdout + stderr);
    using a = service.guest("a");
    using b = service.guest("b");
    for (const { driver } of [a, b]) {
      driver.setInterruptType(0, IrqType.EdgeRising);
      driver.arm(0);
    }
    await chip.pull(0, "up");
    for (const { driver } of [a, b]) {
      assertEquals(driver.waitEvent(5000)?.lineNumber, 0);
    }
    await chip.pull(0, "down");
  }
});
