/**
 * GPIO adapters on USB (CP2112) for Debian 13's own arm64 kernel.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { bootArmGuest, listArtefacts } from "../environment/arm_guest.ts";
import { mustSkip } from "../environment/environment.ts";
import { Service } from "../environment/service.ts";
import { events, monitor, untilChips } from "./usbredir_rig.ts";

const ignore = await mustSkip(
  "deno",
  ...listArtefacts("virt", "new", "trixie"),
);

Deno.test({
  name: "an arm64 guest has a CP2112 for 8 lines, and three for 20",
  ignore,
  fn: async () => {
    await using service = await Service.start(
      {
        plc0: ["sim/8"],
        plc1: ["sim/19,min-interval=1us", "sim/1,direction=input"],
      },
      "--usbredir",
      ",device=cp2112",
    );
    const [first, second] = [service.socket("plc0"), service.socket("plc1")];
    const sockets = [first, second, `${second}.1`, `${second}.2`];
    await using guest = await bootArmGuest({
      board: "virt",
      qemu: "new",
      kernel: "trixie",
      arguments: [
        ...["-device", "qemu-xhci"],
        ...sockets.flatMap((path, i) => [
          "-chardev",
          `socket,id=usb${i},path=${path},reconnect-ms=500`,
          ...["-device", `usb-redir,chardev=usb${i}`],
        ]),
      ],
    });
    // The PL061 of the board is a chip too.
    const found = (await untilChips(guest, 1 + sockets.length))
      .filter((line) => line.includes("[cp2112_gpio]"));
    assertEquals(
      found.map((line) => /\(\d+ lines\)/.exec(line)?.[0]),
      new Array(4).fill("(8 lines)"),
    );
    const serials = await Promise.all(found.map(async (line) => {
      const name = line.split(" ")[0]!;
      const device = `/sys/bus/gpio/devices/${name}/../../../serial`;
      return [(await guest.run(`cat ${device}`)).trim(), name] as const;
    }));
    const chips = new Map(serials);
    assertEquals([...chips.keys()].sort(), [
      "plc0",
      "plc1.0",
      "plc1.1",
      "plc1.2",
    ]);

    await guest.run(`gpioset -t 0 -c ${chips.get("plc0")} 7=1 0=0`);
    let lines = await service.lines("plc0");
    assertEquals([lines["sim7"]?.value, lines["sim0"]?.value], [1, 0]);
    await guest.run(`gpioset -t 0 -c ${chips.get("plc1.1")} 3=1`);
    await guest.run(`gpioset -t 0 -c ${chips.get("plc1.2")} 2=1`);
    lines = await service.lines("plc1");
    assertEquals([lines["sim11"]?.value, lines["sim18"]?.value], [1, 1]);
    await service.pull("plc1", "sim5=1");
    assertEquals(
      await guest.run(`gpioget --numeric -c ${chips.get("plc1.0")} 4 5`),
      "0 1",
    );
    const refused = await guest.exec(
      `gpioset -t 0 -c ${chips.get("plc1.2")} 3=1`,
    );
    assertEquals(refused.code === 0, false);
    assertStringIncludes(refused.output, "Broken pipe");
    await monitor(guest, `-c ${chips.get("plc0")} 6`);
    const expected: string[] = [];
    for (const level of [1, 0, 1, 0]) {
      await service.pull("plc0", `sim6=${level}`);
      expected.push(level === 1 ? "rising" : "falling");
      assertEquals(await events(guest, expected.length), expected);
    }
  },
});
