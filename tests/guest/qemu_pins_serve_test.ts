/** Pins inside QEMU through `gpioagg serve --config`, as a user has them. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import { ControlClient } from "../../src/service/control/control_client.ts";
import { defaultControlPath } from "../../src/config/specification.ts";
import { qemuArguments } from "../../src/qemu/arguments.ts";
import { bootArmGuest, listArtefacts } from "../environment/arm_guest.ts";
import { EdgeMonitor } from "../environment/edge_monitor.ts";
import { artefact, mustSkip, REPOSITORY } from "../environment/environment.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { MetricsPage } from "../environment/metrics.ts";
import { ChildProcess } from "../environment/process.ts";
import { rounds } from "../environment/rounds.ts";
import { until } from "../environment/wait.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const ignore = await mustSkip(
  ...listArtefacts("virt", "old"),
  ...listArtefacts("virt", "new"),
);

/** Restarts, some of which are crashes. */
const ENDS: readonly Deno.Signal[] = [
  ...Array.from({ length: rounds(50, 2) }, () => "SIGUSR2" as const),
  ...Array.from({ length: rounds(10, 2) }, () => "SIGKILL" as const),
];

const restarts = (qemu: "old" | "new"): Deno.TestDefinition => ({
  name:
    `serve --config: lines are a PL061's pins over restarts and crashes, and safe when QEMU is gone (QEMU ${qemu})`,
  ignore,
  fn: async () => {
    await using service = new ManagerDouble();
    const { directory } = service;
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
    const args = [
      "--json",
      "--config",
      config,
      "--api",
      `${directory}/api.sock`,
    ];
    const heard = (event: string) =>
      until(event, () => service.log.includes(`"event":"${event}"`), 120_000);
    await service.start(args);
    {
      const ask = (pull: [string, 0 | 1][] = []) => {
        using control = new ControlClient(defaultControlPath(sockets.qtest));
        return control.ask({ pull });
      };
      const value = (name: string) =>
        ask().lines.find((line) => line.name === name)?.value;
      const client = new ServiceClient(`${directory}/api.sock`);
      const look = async () => new MetricsPage(await client.metrics());
      {
        await using guest = await bootArmGuest({
          board: "virt",
          qemu,
          arguments: qemuArguments(sockets),
        });
        await heard("started");
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
        ask([["BUTTON0", 1]]);
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

        // The guest drives and watches its pins all the time.
        // Simulated lines start anew with each process.
        ask([["BUTTON0", 0]]);
        const monitor = await EdgeMonitor.start(guest, "-c gpiochip0 2");
        await guest.run(
          `(while gpioset -t 0 -c gpiochip0 1=1 && gpioset -t 0 -c gpiochip0 1=0
          do :; done; echo failed >/tmp/failed) >/dev/null 2>&1 &`,
        );
        const edges: string[] = [];
        for (const [i, signal] of ENDS.entries()) {
          const level = i % 2;
          await service.stop(signal);
          await guest.run(`gpioset -t 0 -c gpiochip0 0=${level}`);
          await service.start(args);
          await until("the gap's level", () => value("LAMP0") === level);
          for (const pull of [1, 0] as const) {
            ask([["BUTTON0", pull]]);
            edges.push(pull === 1 ? "rising" : "falling");
            assertEquals(await monitor.seen(edges.length), edges);
          }
          for (const level of [1, 0]) {
            await until("it is driven on", () => value("LAMP1") === level);
          }
        }
        assertEquals(await guest.run("cat /tmp/failed 2>/dev/null || :"), "");
        assert(!service.log.includes('"disconnected"'), service.log);
      }
      await heard("disconnected");
      await until("the safe state", () => value("LAMP0") === 0);
      const after = await look();
      assertEquals(after.sum("gpioagg_aggregator_connected"), 0);
      assertEquals(after.sum("gpioagg_connections_total"), 1);
      await service.stop("SIGTERM");
      await until("the store is empty", () => service.store.size === 0);
    }
  },
});

Deno.test(restarts("old"));
Deno.test(restarts("new"));

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
            defaultControlPath(`${directory}/qtest`),
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
