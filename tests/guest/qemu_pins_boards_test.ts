import { assertEquals, assertStringIncludes } from "@std/assert";
import { PIN, type PinReading } from "../../src/config/values/pin.ts";
import { listArtefacts } from "../environment/arm_guest.ts";
import { mustSkip } from "../environment/environment.ts";
import { PinRig } from "./qemu_pins_rig.ts";

function readPin(text: string): PinReading {
  const reading = PIN.read(text);
  if ("problem" in reading) throw new Error(`${text} ${reading.problem}`);
  return reading.value;
}

for (const qemu of ["old", "new"] as const) {
  Deno.test({
    name: `one of highbank's four PL061s has the lines (QEMU ${qemu})`,
    ignore: await mustSkip(...listArtefacts("highbank", qemu)),
    fn: async () => {
      await using rig = await PinRig.create("sim/8", {
        device: "pl061",
        index: 2,
      });
      await using guest = await rig.boot({ board: "highbank", qemu });
      assertEquals(rig.log, ["connected", "started"]);
      const chip = (await guest.run("gpiodetect | grep fff32000"))
        .split(" ")[0]!;
      // These pins have pull-ups, which drive nothing.
      assertEquals(rig.driven.flat(), []);
      await guest.run(`gpioset -t 0 -c ${chip} 0=1 7=0`);
      await rig.until("the guest's outputs", () => rig.driven[7]!.length > 0);
      await rig.until("the guest's output", () => rig.sims[0]!.level === 1);
      assertEquals(rig.sims[7]!.level, 0);
      await guest.run(`gpioset -t 0 -c ${chip} 0=0 7=1`);
      await rig.until("the guest's output", () => rig.sims[7]!.level === 1);
      await rig.until("the guest's output", () => rig.sims[0]!.level === 0);
      rig.sims[4]!.pull(1);
      assertEquals(
        (await guest.run(`gpioget --numeric -c ${chip} 4 5`)).trim(),
        "1 0",
      );
      assertEquals(
        await rig.edgesSeen(guest, { chip, offset: 5, count: 2 }),
        ["rising", "falling"],
      );
      // The others are not ours: what comes behind theirs is all that is seen.
      const other = (await guest.run("gpiodetect | grep fff30000"))
        .split(" ")[0]!;
      await guest.run(
        `gpioset -t 0 -c ${other} 1=1 && gpioset -t 0 -c ${chip} 2=1`,
      );
      await rig.until("ours", () => rig.sims[2]!.level === 1);
      assertEquals(rig.driven[1], []);
    },
  });

  Deno.test({
    name: `Aspeed's pins, which are properties, have the lines (QEMU ${qemu})`,
    ignore: await mustSkip(...listArtefacts("ast2600-evb", qemu)),
    fn: async () => {
      await using rig = await PinRig.create("sim/3", {
        device: "aspeed.gpio-ast2600",
        // As a configuration has them: two by name, one by number.
        pins: ["gpioB0", "gpioB1", "10"].map((pin, lineNumber) => ({
          ...readPin(pin),
          lineNumber,
        })),
      });
      rig.sims[1]!.pull(1);
      await using guest = await rig.boot({ board: "ast2600-evb", qemu });
      assertEquals(rig.log, ["connected", "started"]);
      const chip = (await guest.run("gpiodetect | grep 1e780000"))
        .split(" ")[0]!;
      assertEquals(
        (await guest.run(`gpioget --numeric -c ${chip} 9 10`)).trim(),
        "1 0",
      );
      await guest.run(`gpioset -t 0 -c ${chip} 8=1`);
      await rig.until("the guest's output", () => rig.sims[0]!.level === 1);
      await guest.run(`gpioset -t 0 -c ${chip} 8=0`);
      await rig.until("the guest's output", () => rig.sims[0]!.level === 0);
      assertEquals(
        await rig.edgesSeen(guest, { chip, offset: 10, sim: 2, count: 2 }),
        ["rising", "falling"],
      );
    },
  });
}

Deno.test({
  name: "a pin's name that the controller has not is refused",
  ignore: await mustSkip("qemuArmOld"),
  fn: async () => {
    await using rig = await PinRig.create("sim/1", {
      device: "aspeed.gpio-ast2600",
      index: 0,
      pins: [{ ...readPin("gpioAC0"), lineNumber: 0 }],
    });
    await using _machine = await rig.start("old", ["-M", "ast2600-evb"]);
    await rig.until("the refusal", () => rig.log.length > 0);
    assertStringIncludes(rig.log.join(), "has no pin gpioAC0; it has 208 pins");
  },
});

Deno.test({
  name: "a controller that is not on the board is refused with what there is",
  ignore: await mustSkip("qemuArmOld"),
  fn: async () => {
    await using rig = await PinRig.create("sim/8", {
      device: "aspeed.gpio-ast2600",
    });
    await using _machine = await rig.start("old", ["-M", "highbank"]);
    await rig.until("the refusal", () => rig.log.length > 0);
    assertStringIncludes(
      rig.log.join(),
      'this board has no device of type "aspeed.gpio-ast2600" ' +
        "(Similar types on this board: pl061)",
    );
  },
});
