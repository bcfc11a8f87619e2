/**
 * A GPIO adapter on USB by `gpioagg run`.
 */
import { assertEquals } from "@std/assert";
import { artefact, mustSkip, REPOSITORY } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { until } from "../environment/wait.ts";

const ignore = await mustSkip("deno", "qemuOld", "qemuNew");

for (
  const [name, qemu, own, ports] of [
    ["QEMU 7.2 that listens in a private directory", "qemuOld", [], [1]],
    ["QEMU 10 that connects", "qemuNew", ["--usbredir", "PATH"], [1]],
    [
      "QEMU 10, two for 12 lines",
      "qemuNew",
      ["--usbredir", "device=cp2112"],
      [1, 2],
    ],
  ] as const
) {
  Deno.test({
    name: `gpioagg run gives an adapter and a controller to ${name}`,
    ignore,
    fn: async () => {
      const directory = await Deno.makeTempDir({ prefix: "gpioagg-usb-" });
      await using cleanUp = new AsyncDisposableStack();
      cleanUp.defer(() => Deno.remove(directory, { recursive: true }));
      await using run = new ChildProcess({
        command: PROGRAM_FILE,
        args: [
          ...PROGRAM,
          "run",
          ...own.map((arg) => arg === "PATH" ? `${directory}/usb.sock` : arg),
          "--line",
          "sim/12",
          "--",
          await artefact(qemu),
          ...["-M", "q35,accel=tcg", "-nodefaults", "-display", "none"],
          // An EHCI is no controller for them.
          ...["-device", "usb-ehci", "-monitor", "stdio", "{usbredir}"],
        ],
        cwd: REPOSITORY,
        input: true,
      });
      await run.waitFor("(qemu)", { timeoutMs: 60_000 });
      // A device that is not there yet has the lowest speed.
      await until("the adapters are attached", async () => {
        await run.write("info usb\n");
        return ports.every((port) =>
          run.stdout.includes(`Port ${port}, Speed 12 Mb/s`)
        );
      }, 60_000);
      await run.write("quit\n");
      assertEquals((await run.waitForExit()).code, 0);
    },
  });
}
