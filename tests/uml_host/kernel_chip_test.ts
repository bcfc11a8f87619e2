import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { writeAttribute } from "../../ffi/sysfs.ts";
import { Chip } from "../../src/gpio/chip.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import {
  gpioagg,
  type HeldChip,
  holdChip,
  kernelCommand,
  leftovers,
  msUntilGone,
  run,
} from "./kernel_chip_rig.ts";

const INTERFACES = ["configfs", "sysfs"] as const;
const GONE_LIMIT_MS = 120_000;

/** Two chips to take lines of. */
async function simChips() {
  const soc = await SimChip.create(localFiles, {
    label: "soc",
    lines: 8,
    names: { 0: "START", 1: "STOP", 5: "LAMP" },
    hogs: { 7: "board" },
  });
  const expander = await SimChip.create(localFiles, {
    label: "exp bank",
    lines: 4,
    names: { 2: "VALVE" },
  });
  return {
    soc,
    expander,
    async [Symbol.asyncDispose]() {
      await expander[Symbol.asyncDispose]();
      await soc[Symbol.asyncDispose]();
    },
  };
}

for (const through of INTERFACES) {
  const create = (...args: string[]) =>
    holdChip("--interface", through, ...args);

  Deno.test(`a kernel chip through ${through} is a chip like any other, until its maker ends`, async () => {
    await using sim = await simChips();
    await using held: HeldChip = await create(
      "--line=STOP",
      "--line=label:exp bank/VALVE",
      "--line=exp bank/0",
      "--line=label:soc+lines:8/5-6,3",
      "--name=plc0",
    );
    const { chip } = held;
    const path = chip.path!;
    assertEquals([chip.name, chip.state, chip.pid], [
      "plc0",
      "held",
      held.process.pid,
    ]);
    assertEquals(
      chip.lines.map(({ chip, offset }) => `${chip}/${offset}`),
      [
        `${sim.soc.name}/1`,
        `${sim.expander.name}/2`,
        `${sim.expander.name}/0`,
        `${sim.soc.name}/5`,
        `${sim.soc.name}/6`,
        `${sim.soc.name}/3`,
      ],
    );
    assertEquals(
      (await run("gpiodetect", [path])).stdout,
      `${path.slice(5)} [${chip.label}] (6 lines)`,
    );
    using opened = Chip.open(path);
    assertEquals(
      opened.lines().map(({ name }) => name),
      through === "configfs"
        ? ["STOP", "VALVE", "", "LAMP", "", ""]
        : ["", "", "", "", "", ""],
    );

    // Outputs and inputs, by libgpiod's tools and by our library.
    await run("gpioset", ["-t", "0", "-c", path, "1=1", "4=1"]);
    assertEquals(
      [await sim.expander.level(2), await sim.soc.level(6)],
      [1, 1],
    );
    await sim.soc.pull(1, "up");
    await sim.soc.pull(3, "up");
    assertEquals(
      (await run("gpioget", ["--numeric", "-c", path, "0", "3", "5"])).stdout,
      "1 0 1",
    );
    assertEquals(
      (await gpioagg("get", "--numeric", "-c", path, "0", "3", "5")).stdout,
      "1 0 1\n",
    );
    using request = opened.requestLines({
      lines: [{ offset: 2, settings: { direction: "output", outputValue: 1 } }],
    });
    assertEquals(await sim.expander.level(0), 1);
    request.setValue(2, 0);
    assertEquals(await sim.expander.level(0), 0);

    // The lines are held meanwhile.
    using soc = Chip.open(sim.soc.path);
    assertEquals(soc.lineInfo(1).consumer, chip.label);

    held.process.kill("SIGTERM");
    const { code } = await held.process.waitForExit();
    assertEquals(code, 0);
    assertEquals(fileStatus(path), undefined);
    assertEquals(soc.lineInfo(1).used, false);
    assertEquals(leftovers(), []);
  });

  Deno.test(`a kernel chip through ${through} goes when its maker is killed, though a program uses it`, async () => {
    await using _sim = await simChips();
    await using held: HeldChip = await create("--line=STOP", "--line=LAMP");
    const path = held.chip.path!;
    using user = Chip.open(path);
    using _request = user.requestLines({
      lines: [{ offset: 1, settings: { direction: "output" } }],
    });
    // Its guardian, which stands still, is continued then.
    if (through === "sysfs") {
      Deno.kill(await findGuardian(held.chip.name), "SIGSTOP");
    }
    held.process.kill("SIGKILL");
    await msUntilGone(path, GONE_LIMIT_MS);
    await waitForNothingLeft();
  });

  Deno.test(`gc removes a chip through ${through} whose maker and guardian were both killed, and no other`, async () => {
    await using _sim = await simChips();
    await using living: HeldChip = await create("--line=START", "--name=a");
    const detached = await kernelCommand(
      ...["create", "--interface", through, "--line=LAMP", "--name=b"],
      "--detach",
    );
    assertEquals(detached.code, 0, detached.stderr);
    await using dead: HeldChip = await create("--line=STOP", "--name=c");
    Deno.kill(await findGuardian("c"), "SIGKILL");
    dead.process.kill("SIGKILL");
    await dead.process.waitForExit();
    assert(fileStatus(dead.chip.path!) !== undefined);

    const listed = await kernelCommand("list", "--json");
    assertEquals(
      JSON.parse(listed.stdout).chips.map((
        { name, state }: { name: string; state: string },
      ) => `${name} ${state}`),
      ["a held", "b detached", "c orphaned"],
    );
    const collected = await kernelCommand("gc", "--json");
    assertEquals(
      JSON.parse(collected.stdout).chips.map(({ name }: { name: string }) =>
        name
      ),
      ["c"],
    );
    assertEquals(fileStatus(dead.chip.path!), undefined);
    assert(fileStatus(living.chip.path!) !== undefined);

    const refused = await kernelCommand("remove", "a");
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, `process ${living.process.pid}`);
    assertEquals((await kernelCommand("remove", "b")).code, 0);
    living.process.kill("SIGINT");
    assertEquals((await living.process.waitForExit()).code, 0);
    assertEquals(leftovers(), []);
  });

  Deno.test(`lines that cannot be had leave nothing of a chip through ${through}`, async () => {
    await using sim = await simChips();
    for (
      const [spec, code, words] of [
        ["soc/7", 1, 'busy (EBUSY), held by "board"'],
        ["soc/8", 1, "its last is 7"],
        ["NO_SUCH", 1, 'no chip of this host has a line named "NO_SUCH"'],
        ["STOP,active-low", 2, "a kernel chip cannot invert a line"],
        ["sim/2", 2, "a kernel chip cannot have such a line"],
      ] as const
    ) {
      const outcome = await kernelCommand(
        ...["create", "--interface", through, "--line=START"],
        ...["--line", spec],
      );
      assertEquals(outcome.code, code, outcome.stderr);
      assertStringIncludes(outcome.stderr, words);
      assertEquals(leftovers(), []);
    }
    using soc = Chip.open(sim.soc.path);
    assertEquals(soc.lineInfo(0).used, false);
  });
}

Deno.test("gc finds a chip whose maker died before it knew which one sysfs had made", async () => {
  await using _sim = await simChips();
  await using dead: HeldChip = await holdChip(
    ...["--interface=sysfs", "--line=STOP", "--line=VALVE", "--name=plc0"],
  );
  Deno.kill(await findGuardian("plc0"), "SIGKILL");
  dead.process.kill("SIGKILL");
  await dead.process.waitForExit();
  const path = await readRecord("plc0");
  const { device: _device, inode: _inode, path: _path, ...unfinished } = JSON
    .parse(await Deno.readTextFile(path));
  await Deno.writeTextFile(path, JSON.stringify(unfinished));
  assertEquals((await kernelCommand("gc")).code, 0);
  assertEquals(fileStatus(dead.chip.path!), undefined);
  assertEquals(leftovers(), []);
});

Deno.test("gc believes no record that takes a living maker's chip for a dead one's", async () => {
  await using _sim = await simChips();
  await using victim: HeldChip = await holdChip(
    ...["--interface=sysfs", "--line=STOP", "--name=victim"],
  );
  const path = await readRecord("victim");
  const place = path.slice(0, path.lastIndexOf("/"));
  const text = await Deno.readTextFile(path);
  const { guardian: _, ...known } = JSON.parse(text);
  const dead = { ...known, maker: { ...known.maker, startTime: "1" } };
  const refused = async (reason: string) => {
    const { code, stderr } = await kernelCommand("gc");
    assertEquals(code, 1);
    assertStringIncludes(stderr, reason);
    assert(fileStatus(victim.chip.path!) !== undefined);
  };
  // As a container that shares the directory can: another record of the device,
  // one of other lines, and a change of the maker's own.
  const id = "planted.0123456789abcdef";
  const planted = `${place.slice(0, place.lastIndexOf("/"))}/${id}`;
  await Deno.mkdir(planted);
  const plant = (record: unknown) =>
    Deno.writeTextFile(`${planted}/record.json`, JSON.stringify(record));
  await plant({ ...dead, name: "planted", id });
  await refused("is the chip victim as well, which is held");
  await Deno.remove(planted, { recursive: true });
  await Deno.remove(`${place}/alive`);
  await Deno.writeTextFile(path, JSON.stringify({ ...dead, lines: [] }));
  await refused("does not have the lines");
  await Deno.writeTextFile(path, JSON.stringify(dead));
  await refused("its guardian is running");
  await Deno.writeTextFile(path, text);
  victim.process.kill("SIGTERM");
  await victim.process.waitForExit();
  assertEquals(leftovers(), []);
});

Deno.test("the next create removes what dead makers left, and takes their name", async () => {
  await using _sim = await simChips();
  await using dead: HeldChip = await holdChip("--line=STOP", "--name=plc0");
  Deno.kill(await findGuardian("plc0"), "SIGKILL");
  dead.process.kill("SIGKILL");
  await dead.process.waitForExit();
  await using next: HeldChip = await holdChip("--line=STOP", "--name=plc0");
  assertEquals(next.chip.lines.length, 1);
  const again = await kernelCommand("create", "--line=START", "--name=plc0");
  assertEquals(again.code, 2);
  assertStringIncludes(again.stderr, `process ${next.process.pid} holds`);
  next.process.kill("SIGTERM");
  await next.process.waitForExit();
  assertEquals(leftovers(), []);
});

Deno.test("names in configfs are those asked for, and the lines' own", async () => {
  await using _sim = await simChips();
  await using held: HeldChip = await holdChip(
    "--line=STOP,as=halt",
    "--line=soc/2-3,as=OUT",
    "--line=VALVE",
  );
  assertEquals(
    (await run("gpioinfo", ["-c", held.chip.path!])).stdout.match(/"\w+"/g),
    ['"halt"', '"OUT0"', '"OUT1"', '"VALVE"'],
  );
  const refused = await kernelCommand(
    ...["create", "--interface=sysfs", "--line=START,as=GO"],
  );
  assertEquals(refused.code, 2);
  assertStringIncludes(refused.stderr, "cannot name a line (as=GO)");
});

Deno.test("a chip's node is for whom it was asked for, and for those lines only", async () => {
  await using sim = await simChips();
  const user = { uid: 4711, gid: 4712 };
  await using held: HeldChip = await holdChip(
    ...["--line=STOP", "--owner=root", "--group=4712", "--mode=660"],
  );
  const path = held.chip.path!;
  const { uid, gid, mode } = fileStatus(path)!;
  assertEquals([uid, gid, mode], [0, 4712, 0o660]);
  const canOpen = async (node: string) =>
    (await run("/bin/sh", ["-c", 'exec 3<>"$1"', "sh", node], user)).code === 0;
  assertEquals(await canOpen(path), true);
  assertEquals(await canOpen(sim.soc.path), false);
  const unknownUser = await kernelCommand(
    ...["create", "--line=START", "--owner=no-such-user"],
  );
  assertEquals(unknownUser.code, 2);
  assertStringIncludes(unknownUser.stderr, 'there is no user "no-such-user"');
});

Deno.test("a holder whose chip is removed by force says so and ends", async () => {
  await using _sim = await simChips();
  await using held: HeldChip = await holdChip("--line=STOP", "--name=plc0");
  const removed = await kernelCommand("remove", "plc0", "--force");
  assertEquals(removed.code, 0, removed.stderr);
  assertEquals((await held.process.waitForExit()).code, 1);
  assertStringIncludes(held.process.stderr, "removed by another process");
  assertEquals(leftovers(), []);
});

Deno.test("list shows chips that others made, and gc leaves them", async () => {
  await using sim = await simChips();
  writeAttribute(
    "/sys/bus/platform/drivers/gpio-aggregator/new_device",
    "soc 2-3",
  );
  const listed = await kernelCommand("list", "--json");
  const [chip] = JSON.parse(listed.stdout).chips;
  try {
    assertEquals([chip.name, chip.state], ["", "foreign"]);
    assertEquals(
      chip.lines.map(({ chip, offset }: { chip: string; offset: number }) =>
        `${chip}/${offset}`
      ),
      ["soc/2", "soc/3"],
    );
    assertEquals((await kernelCommand("gc")).code, 0);
    assert(fileStatus(chip.path) !== undefined);
    const busy = await kernelCommand("create", "--line", `${sim.soc.name}/3`);
    assertEquals(busy.code, 1);
    assertStringIncludes(busy.stderr, `held by "${chip.label}"`);
  } finally {
    writeAttribute(
      "/sys/bus/platform/drivers/gpio-aggregator/delete_device",
      chip.label,
    );
  }
});

Deno.test("gpioagg kernel tells wrong usage, with status 2", async () => {
  for (
    const [args, words] of [
      [["mend"], 'unknown action "mend"'],
      [["creat"], "Did you mean gpioagg kernel create?"],
      [["create"], "a chip must have at least one line"],
      [
        ["create", "--line=soc/0", "--name=a/b"],
        "is not a valid name for a chip",
      ],
      [["create", "--line=soc/0", "--mode=9"], '"9" is not a valid file mode'],
      [["remove"], "missing NAME"],
      [["list", "all"], 'unexpected argument "all"'],
    ] as const
  ) {
    const outcome = await kernelCommand(...args);
    assertEquals(outcome.code, 2, outcome.stderr);
    assertStringIncludes(outcome.stderr, words);
  }
  const absent = await kernelCommand("remove", "nothing");
  assertEquals(absent.code, 1);
  assertStringIncludes(absent.stderr, 'There is no chip "nothing"');
  const help = await kernelCommand("--help");
  assertEquals(help.code, 0);
  assertStringIncludes(help.stdout, "gpioagg kernel create");
});

/** The path of a chip's record. */
async function readRecord(name: string): Promise<string> {
  const directory = "/run/gpioagg/kernel-chips";
  for await (const entry of Deno.readDir(directory)) {
    if (entry.name.startsWith(`${name}.`)) {
      return `${directory}/${entry.name}/record.json`;
    }
  }
  throw new Error(`${name} has no record`);
}

/** The process that guards a chip. */
async function findGuardian(name: string): Promise<number> {
  const text = await Deno.readTextFile(await readRecord(name));
  return JSON.parse(text).guardian.pid;
}

async function waitForNothingLeft(): Promise<void> {
  const deadline = performance.now() + GONE_LIMIT_MS;
  while (leftovers().length > 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assertEquals(leftovers(), []);
}
