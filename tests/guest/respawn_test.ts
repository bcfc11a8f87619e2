/** Two guests of one process: what happens to one is nothing to the other. */
import { assert, assertEquals } from "@std/assert";
import { ControlClient } from "../../src/service/control/control_client.ts";
import { defaultControlPath } from "../../src/config/specification.ts";
import { mustSkip } from "../environment/environment.ts";
import { Service } from "../environment/service.ts";
import { bootUmlGuest } from "../environment/uml_guest.ts";
import { rounds } from "../environment/rounds.ts";
import { until } from "../environment/wait.ts";

const ignore = await mustSkip("uml", "gpiod", "busybox", "deno");

const KILLS = rounds(100, 25);

Deno.test({
  name: `a guest is killed ${KILLS} times while another misses nothing`,
  ignore,
  fn: async () => {
    await using service = await Service.start({
      steady: ["sim/1,as=IN,direction=input", "sim/1,as=OUT,safe=0"],
      victim: ["sim/4,safe=0"],
    });
    using steadyLines = new ControlClient(
      defaultControlPath(service.socket("steady")),
    );
    using victimLines = new ControlClient(
      defaultControlPath(service.socket("victim")),
    );
    await using steady = await bootUmlGuest({
      sockets: [service.socket("steady")],
    });
    // It counts every edge of IN, and toggles OUT without a rest.
    await steady.run(
      "gpiomon --banner -F %e IN >/tmp/edges 2>&1 & " +
        "gpioset -t 5ms OUT=0 >/dev/null 2>&1 & true",
    );
    await until(
      "the steady guest is ready",
      async () => (await steady.run("cat /tmp/edges")).includes("Monitoring"),
    );
    const edges = async () =>
      Number(await steady.run("grep -c '^[12]$' /tmp/edges || true"));
    const fdCount = () => openFds(service.process.pid);

    let expected = 0;
    let fdsAfterFirst = 0;
    for (let kill = 1; kill <= KILLS; kill++) {
      {
        await using guest = await bootUmlGuest({
          sockets: [service.socket("victim")],
        });
        // From any state: just attached, driving, armed, in the middle.
        if (kill % 3 === 0) await guest.run("gpioset -t 0 sim1=1");
        if (kill % 3 === 1) {
          await guest.run("gpiomon sim2 >/dev/null 2>&1 & gpioset sim0=1 &");
        }
        steadyLines.ask({ pull: [["IN", kill % 2 === 1 ? 1 : 0]] });
        expected++;
        guest.process.kill("SIGKILL");
        await guest.process.waitForExit();
      }
      await until(
        `edge ${expected} in the steady guest, kill ${kill}`,
        async () => await edges() >= expected,
      );
      await until("the victim's lines are safe", () => {
        const { connected, lines } = victimLines.ask({});
        return !connected && lines.every(({ value }) => value === 0);
      });
      if (kill === 1) fdsAfterFirst = fdCount();
    }
    assertEquals(await edges(), expected);
    assertEquals(fdCount(), fdsAfterFirst, "file descriptors leak");
    // The steady guest still drives its output.
    const toggles = new Set<number | undefined>();
    await until("both values of OUT", () => {
      toggles.add(steadyLines.ask({}).lines[1]?.value);
      return toggles.size === 2;
    });
    assert(!service.process.stdout.includes('"event":"fault"'));
  },
});

function openFds(pid: number): number {
  const { stdout } = new Deno.Command("ls", { args: [`/proc/${pid}/fd`] })
    .outputSync();
  return new TextDecoder().decode(stdout).trim().split("\n").length;
}
