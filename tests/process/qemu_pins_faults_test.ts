/** Messages of `gpioagg serve` about a QEMU that cannot be used. */
import { assertStringIncludes } from "@std/assert";
import { RunningQemu, VIRT_PL061 } from "../doubles/running_qemu.ts";
import { ConfigService } from "../environment/config_service.ts";

const second = {
  ...VIRT_PL061,
  path: "/machine/soc/secure",
  address: 0x90b_0000,
};

for (
  const [what, settings, board, words] of [
    [
      "the candidates, where several are meant",
      "",
      [second, VIRT_PL061],
      'this board has 2 controllers of type "pl061". Choose one with index: ' +
      "0: /machine/soc/device[6] at 0x9003000; " +
      "1: /machine/soc/secure at 0x90b0000",
    ],
    [
      "the types, where none is meant",
      ", device: imx.gpio",
      [VIRT_PL061],
      "Similar types on this board: pl061",
    ],
    [
      "the switch that QEMU lacks",
      "",
      undefined,
      "QEMU makes it with -qtest unix:",
    ],
  ] as const
) {
  Deno.test(`serve tells ${what}`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "gpioagg-qemu-" });
    const qtest = board === undefined ? "absent" : "qtest";
    try {
      using _qemu = new RunningQemu(directory, board);
      await using service = await ConfigService.start(() => `
aggregators:
  press:
    qemu-pins: { qtest: ${directory}/${qtest}, qmp: ${directory}/qmp${settings} }
    lines: [ "sim/1" ]
`);
      const [fault] = await service.heard("fault");
      assertStringIncludes(fault?.detail ?? "", words);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}
