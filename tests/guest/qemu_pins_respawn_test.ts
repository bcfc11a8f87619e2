/** `gpioagg run --respawn` with a PL061's pins, as the README has it. */
import { assertEquals } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { listArtefacts } from "../environment/arm_guest.ts";
import { artefact, mustSkip } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import {
  listOpenFiles,
  type OpenFiles,
  untilNoneIsLeft,
} from "../environment/open_files.ts";
import { rounds } from "../environment/rounds.ts";
import { linesAt, pullLines } from "../environment/served_lines.ts";
import { until } from "../environment/wait.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const ignore = await mustSkip("deno", ...listArtefacts("virt", "new"));

const KILLS = rounds(5, 2);
const BOOT_LIMIT_MS = 300_000;

Deno.test({
  name:
    `run: a guest with a PL061 is brought back ${KILLS} times, at sockets of its own`,
  ignore,
  fn: async () => {
    const directory = await Deno.makeTempDir({ prefix: "gpioagg-run-pins-" });
    const pidFile = `${directory}/pid`;
    const [qemu, kernel, initramfs] = await Promise.all(
      listArtefacts("virt", "new").map(artefact),
    );
    try {
      await using run = new ChildProcess({
        command: PROGRAM_FILE,
        args: [
          ...PROGRAM,
          ..."run --respawn --qemu-pins device=pl061".split(" "),
          ..."--line sim/1,as=LAMP,safe=0".split(" "),
          ..."--line sim/1,as=BUTTON,direction=input".split(" "),
          "--",
          `${qemu}/qemu-system-aarch64`,
          ..."-M virt -cpu cortex-a57 -accel tcg -m 256 -nodefaults".split(" "),
          ..."-display none -serial stdio".split(" "),
          ...["-kernel", `${kernel}/vmlinuz`, "-initrd", initramfs!],
          "-append",
          "console=ttyAMA0 quiet loglevel=1 panic=-1 GPIOAGG_TTY=ttyAMA0",
          ...["-pidfile", pidFile, "{qemu-pins}"],
        ],
        input: true,
      });
      let from = 0;
      let commands = 0;
      const inGuest = async (command: string, answer: string) => {
        await run.write(`t${++commands} ! ${command}\n`);
        await run.waitFor(answer, { from });
        from = run.stdout.length;
      };
      let before: OpenFiles | undefined;
      for (let kill = 0; kill <= KILLS; kill++) {
        await run.waitFor("\x1eready\x1e", { from, timeoutMs: BOOT_LIMIT_MS });
        from = run.stdout.length;
        const pid = Number(await Deno.readTextFile(pidFile));
        // A client that says nothing for long is disconnected: each asks once.
        const socket = findQtest(pid);
        const lamp = async () => (await linesAt(socket))[0]?.value;
        assertEquals(await lamp(), 0, "safe before the guest touches it");
        await inGuest("gpioset -t 0 -c gpiochip0 0=1 && echo lit", "lit");
        await until("the lamp", async () => await lamp() === 1);
        const level = kill % 2 === 0 ? 1 : 0;
        await inGuest(
          "gpiomon --banner -n 1 -F 'event %E' -c gpiochip0 1 >/tmp/edge & " +
            "until grep -q Monitoring /tmp/edge; do sleep 0.1; done; " +
            "echo arm''ed",
          "armed",
        );
        await pullLines(socket, [`BUTTON=${level}`]);
        await inGuest(
          "until grep event /tmp/edge; do sleep 0.1; done",
          `event ${level === 1 ? "rising" : "falling"}`,
        );
        await inGuest(
          "gpioget --numeric -c gpiochip0 1 | sed 's/^/button is /'",
          `button is ${level}`,
        );
        // As many as with the first guest.
        before ??= listOpenFiles(run.pid);
        await untilNoneIsLeft(run.pid, before);
        if (kill === KILLS) break;
        Deno.kill(pid, "SIGKILL");
        await until("the lamp is safe", async () => await lamp() === 0);
      }
      assertEquals(run.stderr.match(/the VM ended by SIGKILL/g)?.length, KILLS);
      // A QEMU that is slow to start is told, and is none of them.
      const faults = run.stderr.split("\n").filter((line) =>
        line.includes("fault") &&
        !/listens there yet|for 10 s it did not answer/.test(line)
      );
      assertEquals(faults, []);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

/** The qtest socket that a QEMU was told to open. */
function findQtest(pid: number): string {
  const command = readSmallFile(`/proc/${pid}/cmdline`) ?? "";
  const path = /\0-qtest\0unix:([^,]+),/.exec(command)?.[1];
  if (path === undefined) throw new Error(`no -qtest in ${command}`);
  return path;
}
