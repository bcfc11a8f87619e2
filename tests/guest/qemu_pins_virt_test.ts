import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { listArtefacts } from "../environment/arm_guest.ts";
import { mustSkip } from "../environment/environment.ts";
import { PinRig } from "./qemu_pins_rig.ts";

const GPIOSET = "gpioset -t 0 -c gpiochip0";

for (const qemu of ["old", "new"] as const) {
  const board = { board: "virt", qemu } as const;
  const ignore = await mustSkip(...listArtefacts("virt", qemu));

  Deno.test({
    name: `an unmodified arm64 guest has the lines as its PL061 (QEMU ${qemu})`,
    ignore,
    fn: async () => {
      await using rig = await PinRig.create("sim/8", { device: "pl061" });
      rig.sims[5]!.pull(1);
      await using guest = await rig.boot(board);
      assertEquals(rig.log, ["connected", "started"]);
      assertStringIncludes(await guest.run("gpiodetect"), "pl061] (8 lines)");
      assert(!(await guest.run("ls /sys/bus/virtio/devices")).trim());

      // Outputs.
      await guest.run(`${GPIOSET} 0=1 3=1`);
      await rig.until(
        "the guest's outputs",
        () => rig.sims[0]!.level === 1 && rig.sims[3]!.level === 1,
      );
      await guest.run(`${GPIOSET} 0=0`);
      await rig.until("the guest's output", () => rig.sims[0]!.level === 0);
      assertEquals(rig.driven[0], [1, 0]);

      // Inputs, by value and by interrupt.
      const get = () =>
        guest.run("gpioget --numeric -c gpiochip0 4 5").then((text) =>
          text.trim()
        );
      assertEquals(await get(), "0 1");
      const handed = [4, 5].map((line) => rig.pins.counters.levels[line]! + 1);
      rig.sims[4]!.pull(1);
      rig.sims[5]!.pull(0);
      await rig.until(
        "both changes",
        () =>
          rig.pins.counters.levels[4] === handed[0] &&
          rig.pins.counters.levels[5] === handed[1],
      );
      assertEquals(await get(), "1 0");
      const watched = { chip: "gpiochip0", offset: 6, count: 4 };
      assertEquals(await rig.edgesSeen(guest, watched), [
        "rising",
        "falling",
        "rising",
        "falling",
      ]);

      // A guest that makes its output an input sees the line.
      rig.sims[3]!.pull(1);
      await guest.run(`${GPIOSET} 3=0`);
      await rig.until("the output", () => rig.sims[3]!.level === 0);
      assertEquals(
        await guest.run(
          "gpioget --numeric -c gpiochip0 3; sleep 0.2; " +
            "gpioget --numeric -c gpiochip0 3 | tail -n 1",
        ).then((text) => text.split("\n").at(-1)),
        "1",
      );
      assertEquals(rig.sims[3]!.level, 1);
    },
  });
}

const ignore = await mustSkip(...listArtefacts("virt"));

Deno.test({
  name: "10,000 edges of a guest's pin arrive, all of them and in order",
  ignore,
  fn: async () => {
    await using rig = await PinRig.create("sim/8", { device: "pl061" });
    await using guest = await rig.boot({ board: "virt" });
    await guest.run(
      "cd /sys/class/gpio && base=$(cat gpiochip*/base) && " +
        "echo $((base + 2)) >export && cd gpio$((base + 2)) && " +
        "echo out >direction && i=0 && while [ $i -lt 5000 ]; do " +
        "echo 1 >value; echo 0 >value; i=$((i + 1)); done",
      { timeoutMs: 120_000 },
    );
    await rig.until(
      "10,000 edges",
      () => rig.driven[2]!.filter((level) => level === 1).length >= 5000,
    );
    await rig.until("the last one", () => rig.driven[2]!.at(-1) === 0);
    const edges = rig.driven[2]!.slice(rig.driven[2]!.indexOf(1));
    assertEquals(edges.length, 10_000);
    assert(edges.every((level, i) => level === (i + 1 & 1)));
  },
});

for (const [qemu, kills] of [["old", 5], ["new", 2]] as const) {
  const board = { board: "virt", qemu } as const;
  const ignore = await mustSkip(...listArtefacts("virt", qemu));

  Deno.test({
    name:
      `a guest's reset and shutdown put lines where their rules say (QEMU ${qemu})`,
    ignore,
    fn: async () => {
      await using rig = await PinRig.create(
        "sim/8,safe=0",
        { device: "pl061" },
      );
      await using guest = await rig.boot(board);
      await guest.run(`${GPIOSET} 0=1`);
      await rig.until("the output", () => rig.sims[0]!.level === 1);
      rig.log.length = 0;
      rig.sims[1]!.pull(1);
      const upAgain = guest.process.stdout.length;
      await guest.sendLast("reboot -f");
      await rig.until("the safe state", () => rig.sims[0]!.level === 0);
      await rig.until("the link", () => rig.log.includes("started"));
      assertEquals(rig.log, ["stopped", "started"]);
      // The session is a new one: the guest's pins tell that it works again.
      await guest.process.waitFor("\x1eready\x1e", {
        from: upAgain,
        timeoutMs: 60_000,
      });
      await guest.process.write(
        `again ! ${GPIOSET} 0=1; gpioget --numeric -c gpiochip0 1\n`,
      );
      await guest.process.waitFor("1\n\x1eagain 0", {
        from: upAgain,
        timeoutMs: 120_000,
      });
      await rig.until("the output", () => rig.sims[0]!.level === 1);
      // With the guest goes QEMU itself.
      await guest.process.write("off ! poweroff -f\n");
      await rig.until("the safe state", () => rig.sims[0]!.level === 0);
      await rig.until("QEMU's end", () => rig.log.includes("disconnected"));
    },
  });

  Deno.test({
    name:
      `a paused machine changes nothing, and goes on where it was (QEMU ${qemu})`,
    ignore,
    fn: async () => {
      await using rig = await PinRig.create(
        "sim/8,safe=0",
        { device: "pl061" },
      );
      await using guest = await rig.boot(board);
      await guest.run(`${GPIOSET} 0=1`);
      await rig.until("the output", () => rig.sims[0]!.level === 1);
      await rig.monitor("stop");
      rig.sims[1]!.pull(1);
      await new Promise((resolve) => setTimeout(resolve, 300));
      assertEquals(rig.sims[0]!.level, 1);
      await rig.monitor("cont");
      assertEquals(
        (await guest.run("gpioget --numeric -c gpiochip0 1")).trim(),
        "1",
      );
      await guest.run(`${GPIOSET} 0=0`);
      await rig.until("the output", () => rig.sims[0]!.level === 0);
      assertEquals(rig.log, ["connected", "started"]);
    },
  });

  Deno.test({
    name: `QEMU is killed and started again on the same sockets (QEMU ${qemu})`,
    ignore,
    fn: async () => {
      await using rig = await PinRig.create(
        "sim/4,safe=1",
        {
          device: "pl061",
          pins: [{ pin: 7, lineNumber: 0 }, { pin: 1, lineNumber: 1 }],
        },
      );
      for (let i = 0; i < kills; i++) {
        await using guest = await rig.boot(board);
        rig.sims[1]!.pull(1);
        await guest.run(`${GPIOSET} 7=0`);
        await rig.until("the output", () => rig.sims[0]!.level === 0);
        assertEquals(
          (await guest.run("gpioget --numeric -c gpiochip0 1")).trim(),
          "1",
        );
        guest.process.kill("SIGKILL");
        await rig.until("the safe state", () => rig.sims[0]!.level === 1);
        await rig.until("the end", () => rig.log.at(-1) === "disconnected");
        await guest.process.waitForExit();
      }
      assertEquals(
        rig.log,
        Array.from(
          { length: kills },
          () => ["connected", "started", "disconnected"],
        )
          .flat(),
      );
    },
  });
}

Deno.test({
  name: "gpioagg that is started anew takes over what the guest drives",
  ignore,
  fn: async () => {
    await using first = await PinRig.create("sim/8", { device: "pl061" });
    await using guest = await first.boot({ board: "virt" });
    await guest.run(`${GPIOSET} 0=1 1=0`);
    await first.until("the output", () => first.sims[0]!.level === 1);
    first.pins[Symbol.dispose]();
    await guest.run(`${GPIOSET} 1=1`);
    await using second = await PinRig.create("sim/8", {
      device: "pl061",
      qmpPath: `${first.directory}/qmp`,
      qtestPath: `${first.directory}/qtest`,
    });
    await second.until("the link", () => second.log.includes("started"));
    assertEquals([second.driven[0], second.driven[1]], [[1], [1]]);
    await guest.run(`${GPIOSET} 0=0`);
    await second.until("the fall", () => second.sims[0]!.level === 0);
  },
});

Deno.test({
  name: "a board with two PL061s: the one that is meant must be said",
  ignore,
  fn: async () => {
    await using rig = await PinRig.create("sim/8", { device: "pl061" });
    await using _machine = await rig.start("old", ["-M", "virt,secure=on"]);
    await rig.until("the refusal", () => rig.log.length > 0);
    assertStringIncludes(rig.log.join(), "this board has 2 controllers");
    assertStringIncludes(rig.log.join(), "0: /machine/unattached/device[");
  },
});
