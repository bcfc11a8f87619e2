/**
 * QEMU guests on simulated lines: 7.2, which never offers interrupts, and 10,
 * which does.
 */
import { assert, assertEquals } from "@std/assert";
import { receive, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { EdgeMonitor } from "../environment/edge_monitor.ts";
import { mustSkip } from "../environment/environment.ts";
import { bootQemuGuest } from "../environment/qemu_guest.ts";
import { Service } from "../environment/service.ts";
import { until } from "../environment/wait.ts";

const ignore = await mustSkip(
  "qemuOld",
  "qemuNew",
  "guestKernel",
  "initramfs",
  "deno",
);

for (const qemu of ["old", "new"] as const) {
  Deno.test({
    name: `QEMU guest (${qemu}): its tools show the names, read and drive ` +
      "the lines",
    ignore,
    fn: async () => {
      await using service = await Service.start({
        plc0: [
          "sim/2,as=LAMP,direction=output",
          "sim/2,as=BUTTON,direction=input",
        ],
      });
      await using guest = await bootQemuGuest({
        qemu,
        sockets: [service.socket("plc0")],
      });
      const info = await guest.run("gpioinfo");
      assertEquals(
        [...info.matchAll(/"(\w+)"\s+(input|output)/g)].map(([, name, way]) =>
          `${name} ${way}`
        ),
        ["LAMP0 output", "LAMP1 output", "BUTTON0 input", "BUTTON1 input"],
      );
      await guest.run("gpioset -t 0 LAMP1=1");
      const lines = await service.lines("plc0");
      assertEquals([lines["LAMP0"]?.value, lines["LAMP1"]?.value], [0, 1]);
      await service.pull("plc0", "BUTTON1=1");
      assertEquals(await guest.run("gpioget --numeric BUTTON0 BUTTON1"), "0 1");
    },
  });
}

Deno.test({
  name: "QEMU guest (old): gpiomon is refused, since 7.2 offers no interrupts",
  ignore,
  fn: async () => {
    await using service = await Service.start({ plc0: ["sim/1"] });
    await using guest = await bootQemuGuest({
      qemu: "old",
      sockets: [service.socket("plc0")],
    });
    const { code } = await guest.exec("timeout 2 gpiomon -n 1 sim0");
    assertEquals(code, 1);
  },
});

Deno.test({
  name: "QEMU guest (new): gpiomon sees both edges, over and over",
  ignore,
  fn: async () => {
    await using service = await Service.start({ plc0: ["sim/2"] });
    await using guest = await bootQemuGuest({
      qemu: "new",
      sockets: [service.socket("plc0")],
    });
    const monitor = await EdgeMonitor.start(guest, "sim1");
    const expected: string[] = [];
    for (const level of [1, 0, 1, 0]) {
      await service.pull("plc0", `sim1=${level}`);
      expected.push(level === 1 ? "rising" : "falling");
      assertEquals(await monitor.seen(expected.length), expected);
    }
  },
});

Deno.test({
  name: "QEMU guest (new): a pause of the VM is not a reset",
  ignore,
  fn: async () => {
    await using service = await Service.start({
      plc0: ["sim/1,as=LAMP,safe=0", "sim/1,as=BUTTON"],
    });
    const directory = await Deno.makeTempDir();
    const monitor = `${directory}/monitor`;
    try {
      await using guest = await bootQemuGuest({
        qemu: "new",
        sockets: [service.socket("plc0")],
        arguments: ["-monitor", `unix:${monitor},server=on,wait=off`],
      });
      await guest.run("gpioset LAMP=1 >/dev/null 2>&1 &");
      const edges = await EdgeMonitor.start(guest, "BUTTON");
      await until(
        "the lamp",
        async () => (await service.lines("plc0"))["LAMP"]?.value === 1,
      );

      await tellMonitor(monitor, "stop");
      await service.process.waitFor('"event":"stopped"');
      await service.pull("plc0", "BUTTON=1");
      assertEquals((await service.lines("plc0"))["LAMP"]?.value, 1);
      await tellMonitor(monitor, "cont");
      // The one of the pause.
      assertEquals(await edges.seen(1), ["rising"]);
      await service.pull("plc0", "BUTTON=0");
      assertEquals(await edges.seen(2), ["rising", "falling"]);
      assert(!service.process.stdout.includes('"event":"disconnected"'));
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

/** Says one word to a QEMU monitor, and waits until it has been obeyed. */
async function tellMonitor(path: string, word: string): Promise<void> {
  using monitor = connectUnix(path);
  const piece = new Uint8Array(4096);
  let text = "";
  const prompts = (count: number) =>
    until(`prompt ${count} of the monitor`, () => {
      const length = receive(monitor.fd, piece, []);
      if (length > 0) {
        text += new TextDecoder().decode(piece.subarray(0, length));
      }
      return text.split("(qemu)").length > count;
    });
  await prompts(1);
  send(monitor.fd, new TextEncoder().encode(`${word}\n`));
  await prompts(2);
}
