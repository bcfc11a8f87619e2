/** `gpioagg run --respawn` with QEMU and a real guest. */
import { assert, assertEquals } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { ControlClient } from "../../src/service/control/control_client.ts";
import { defaultControlPath } from "../../src/config/specification.ts";
import { artefact, mustSkip } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { until } from "../environment/wait.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const ignore = await mustSkip("deno", "qemuNew", "guestKernel", "initramfs");

const KILLS = 5;
const BOOT_LIMIT_MS = 120_000;

Deno.test({
  name: `a QEMU guest is brought back ${KILLS} times, its lines work each time`,
  ignore,
  fn: async () => {
    const directory = await Deno.makeTempDir({ prefix: "gpioagg-run-qemu-" });
    const socket = `${directory}/plc.sock`;
    const pidFile = `${directory}/pid`;
    try {
      await using run = new ChildProcess({
        command: PROGRAM_FILE,
        args: [
          ...PROGRAM,
          "run",
          "--respawn",
          "--socket-path",
          socket,
          "--line",
          "sim/1,as=LAMP,safe=0",
          "--line",
          "sim/1,as=BUTTON,direction=input",
          "--",
          await artefact("qemuNew"),
          ..."-accel tcg -M q35 -m 128 -nodefaults -display none -no-reboot"
            .split(" "),
          "-kernel",
          await artefact("guestKernel"),
          "-initrd",
          await artefact("initramfs"),
          "-append",
          "console=ttyS0 quiet panic=-1 no_timer_check",
          "-pidfile",
          pidFile,
          // The first port is the kernel's, the second takes commands.
          "-serial",
          `file:${directory}/log`,
          "-serial",
          "stdio",
          "{qemu}",
        ],
        input: true,
      });
      let from = 0;
      let commands = 0;
      const inGuest = async (command: string, answer: RegExp) => {
        await run.write(`t${++commands} ! ${command}\n`);
        const match = await run.waitFor(answer, { from });
        from = run.stdout.length;
        return match;
      };
      for (let kill = 0; kill <= KILLS; kill++) {
        await run.waitFor("\x1eready\x1e", { from, timeoutMs: BOOT_LIMIT_MS });
        from = run.stdout.length;
        using lines = new ControlClient(defaultControlPath(socket));
        const lamp = () => lines.ask({}).lines[0]?.value;
        assertEquals(lamp(), 0, "safe before the guest touches it");
        await inGuest(
          "gpioset -t 0 LAMP=1 && echo lamp is on",
          /lamp is on/,
        );
        assertEquals(lamp(), 1);
        const level = kill % 2 === 0 ? 1 : 0;
        lines.ask({ pull: [["BUTTON", level]] });
        await inGuest(
          "gpioget --numeric BUTTON | sed 's/^/button is /'",
          new RegExp(`button is ${level}`),
        );
        if (kill === KILLS) break;
        const pid = Number(await Deno.readTextFile(pidFile));
        Deno.kill(pid, "SIGKILL");
        await until("the lamp is safe", () => lamp() === 0);
      }
      const deaths = run.stderr.match(/the VM ended by SIGKILL/g) ?? [];
      assertEquals(deaths.length, KILLS, run.stderr);
      // What was promised for gpioagg's own death.
      const pid = Number(await Deno.readTextFile(pidFile));
      run.kill("SIGKILL");
      await until("QEMU's end", () => {
        const stat = readSmallFile(`/proc/${pid}/stat`);
        return stat === undefined || /\) [ZX] /.test(stat);
      });
      assert(!run.stderr.includes("Cannot"), run.stderr);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});
