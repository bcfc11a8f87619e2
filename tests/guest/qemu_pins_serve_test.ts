/** Pins inside QEMU through `gpioagg serve --config`, as a user has them. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import { ControlClient } from "../../src/service/control/control_client.ts";
import { controlPathOf } from "../../src/config/specification.ts";
import { qemuArguments } from "../../src/qemu/arguments.ts";
import { artefactsOf, bootArmGuest } from "../environment/arm_guest.ts";
import { artefact, mustSkip, REPOSITORY } from "../environment/environment.ts";
import { MetricsPage } from "../environment/metrics.ts";
import { ChildProcess } from "../environment/process.ts";
import { until } from "../environment/wait.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const ignore = await mustSkip(...artefactsOf("virt", "new"));

Deno.test({
  name: "serve --config: lines are a PL061's pins, and safe when QEMU is gone",
  ignore,
  fn: async () => {
    const directory = await Deno.makeTempDir();
    const sockets = { qtest: `${directory}/qtest`, qmp: `${directory}/qmp` };
    const config = `${directory}/plant.yaml`;
    await Deno.writeTextFile(
      config,
      `aggregators:
  press:
    qemu-pins: { qtest: ${sockets.qtest}, qmp: ${sockets.qmp}, device: pl061 }
    lines:
      - { sim: 2, as: LAMP, direction: output, safe: 0 }
      - { sim: 2, as: BUTTON, direction: input }
`,
    );
    try {
      await using service = new ChildProcess({
        command: PROGRAM_FILE,
        args: [
          ...PROGRAM,
          ..."serve --json --config".split(" "),
          config,
          "--api",
          `${directory}/api.sock`,
        ],
        cwd: REPOSITORY,
      });
      await service.waitFor('"event":"ready"', { timeoutMs: 120_000 });
      using control = new ControlClient(controlPathOf(sockets.qtest));
      const value = (name: string) =>
        control.ask({}).lines.find((line) => line.name === name)?.value;
      const client = new ServiceClient(`${directory}/api.sock`);
      const look = async () => new MetricsPage(await client.metrics());
      {
        await using guest = await bootArmGuest({
          board: "virt",
          qemu: "new",
          arguments: qemuArguments(sockets),
        });
        await service.waitFor('"event":"started"', { timeoutMs: 120_000 });
        assertStringIncludes(await guest.run("gpiodetect"), "(8 lines)");
        await guest.run("gpioset -t 0 -c gpiochip0 0=1");
        await until("the guest's output", () => value("LAMP0") === 1);
        const lamp = { aggregator: "press", name: "LAMP0" };
        const driven = await look();
        for (const kind of ["set_direction", "set_value"]) {
          const labels = { ...lamp, kind, result: "ok" };
          assert(driven.sum("gpioagg_requests_total", labels) >= 1, kind);
        }
        assertEquals(
          driven.sum("gpioagg_request_duration_seconds_count", lamp),
          driven.sum("gpioagg_requests_total", lamp),
        );
        assertEquals(driven.sum("gpioagg_pin_levels_total", lamp), 0);
        const button = { aggregator: "press", name: "BUTTON0" };
        const handed = driven.sum("gpioagg_pin_levels_total", button);
        control.ask({ pull: [["BUTTON0", 1]] });
        await until(
          "the host's level in the guest",
          async () =>
            await guest.run("gpioget --numeric -c gpiochip0 2 3") === "1 0",
        );
        const pulled = await look();
        assertEquals(
          pulled.sum("gpioagg_pin_levels_total", button),
          handed + 1,
        );
        assertEquals(pulled.sum("gpioagg_aggregator_connected"), 1);
      }
      await service.waitFor('"event":"disconnected"');
      await until("the safe state", () => value("LAMP0") === 0);
      assertEquals(value("BUTTON0"), 1);
      const after = await look();
      assertEquals(after.sum("gpioagg_aggregator_connected"), 0);
      assertEquals(after.sum("gpioagg_connections_total"), 1);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

Deno.test({
  name: "run: {qemu-pins} makes QEMU open the sockets that the pins need",
  ignore,
  fn: async () => {
    const directory = await Deno.makeTempDir();
    try {
      await using run = new ChildProcess({
        command: PROGRAM_FILE,
        args: [
          ...PROGRAM,
          ..."run --qemu-pins".split(" "),
          `qtest=${directory}/qtest,qmp=${directory}/qmp,device=pl061`,
          ..."--line sim/8 --".split(" "),
          `${await artefact("qemuArmNew")}/qemu-system-aarch64`,
          ..."-M virt -nodefaults -display none {qemu-pins}".split(" "),
        ],
        cwd: REPOSITORY,
      });
      await until("the connection", () => {
        try {
          using control = new ControlClient(
            controlPathOf(`${directory}/qtest`),
          );
          return control.ask({}).connected;
        } catch {
          return run.status !== undefined;
        }
      }, 120_000);
      assertEquals(run.status, undefined, run.stderr);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
