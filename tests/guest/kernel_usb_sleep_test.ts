/**
 * A kernel chip by USB on Debian 13's own kernel: its access beside udev's rules,
 * and a host that systemd suspends, to memory and to idle.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { artefact, mustSkip, REPOSITORY } from "../environment/environment.ts";
import type { ExecResult } from "../environment/guest_session.ts";
import { Monitor } from "../environment/qemu_monitor.ts";
import {
  bootStockHost,
  HOST_ROOT as ROOT,
  type StockHost,
} from "../environment/stock_host.ts";
import { until } from "../environment/wait.ts";
import { startUdev, tool, untilAccess } from "./kernel_usb_rig.ts";

const ignore = await mustSkip(
  "deno",
  "qemuNew",
  "stockTrixie",
  "busybox",
  "udevdTrixie",
);

const LIMIT_MS = 240_000;

const CONFIG = `
aggregators:
  plc0:
    kernel-chip: { interface: usb, device: cp2112, owner: "1234", mode: "640" }
    lines:
      - { sim: 1, as: RELAY, safe: 0 }
      - { copy: plc0.RELAY, as: SEEN }
      - { sim: 1, as: KEPT }
      - { copy: plc0.KEPT, as: KEPT_SEEN }
`;

/** Waits for so many chips; their names. */
async function untilChips(host: StockHost, count: number): Promise<string[]> {
  let found: string[] = [];
  await until(`${count} chips`, async () => {
    const text = await host.run("gpiodetect 2>&1 || true");
    found = [...text.matchAll(/^(gpiochip\d+) /gm)].map(([, name]) => name!);
    return found.length === count;
  }, LIMIT_MS);
  return found;
}

/** The access that the configuration asks for, and udev's rule beside it. */
const ACCESS = "1234 77 640";

/** Suspends that succeeded, and that failed. */
async function suspends(host: StockHost): Promise<string[]> {
  return (await host.run("cd /sys/power/suspend_stats; cat success fail"))
    .trim().split("\n");
}

/** Installs gpioagg's hook, where systemd finds it. */
async function installHook(host: StockHost): Promise<void> {
  await host.run(
    `hook=${ROOT}/usr/lib/systemd/system-sleep/gpioagg
     mkdir -p \${hook%/*} &&
     cp '${ROOT}${REPOSITORY}/scripts/systemd/gpioagg.sleep' $hook &&
     chmod 755 $hook`,
  );
}

/**
 * Suspends as `systemctl suspend` does: the program of systemd's service of that
 * name, which runs the hooks. It is told not to ask systemd, which this machine
 * lacks, to freeze sessions first.
 */
async function suspend(
  host: StockHost,
  state: "mem" | "freeze",
): Promise<ExecResult> {
  const bin = (await artefact("udevdTrixie")).replace(/\/[^/]*$/, "");
  await host.run(
    `mkdir -p ${ROOT}/etc/systemd
     printf '[Sleep]\\nSuspendState=%s\\n' ${state} \\
       >${ROOT}/etc/systemd/sleep.conf`,
  );
  return await host.exec(
    `SYSTEMD_SLEEP_FREEZE_USER_SESSIONS=false ` +
      `chroot ${ROOT} '${bin}/systemd-sleep' suspend`,
    { timeoutMs: LIMIT_MS },
  );
}

/** Wakes the machine, again and again, until a command of it has ended. */
async function wake(
  hmp: Monitor,
  command: Promise<ExecResult>,
  how: "system_wakeup" | "sendkey a",
): Promise<ExecResult> {
  let result: ExecResult | undefined;
  const ended = command.then((its) => void (result = its));
  await until("the machine is awake", async () => {
    // A machine that is suspended to idle runs, as QEMU sees it.
    if (
      how === "sendkey a" ||
      (await hmp.run("info status")).includes("suspended")
    ) await hmp.run(how);
    await Promise.race([ended, new Promise((next) => setTimeout(next, 1000))]);
    return result !== undefined;
  }, LIMIT_MS);
  return result!;
}

Deno.test({
  name: "systemd suspends a host and resumes it, and its chip by USB is back",
  ignore,
  fn: async () => {
    await using hmp = await Monitor.prepare();
    await using host = await bootStockHost("trixie", {
      inMemory: true,
      arguments: hmp.arguments,
    });
    await host.run(`cat >${ROOT}/run/plant.yaml <<'END'\n${CONFIG}\nEND`);
    await startUdev(host, "trixie");
    await host.start("serve --config /run/plant.yaml", "/tmp/serve");
    await until(
      "the service",
      async () => (await host.run("cat /tmp/serve")).includes("plc0: serving"),
      LIMIT_MS,
    ).catch(async (cause) => {
      throw new Error(await host.run("cat /tmp/serve"), { cause });
    });
    let [chip] = await untilChips(host, 1);
    const read = () => tool(host, `gpioget --numeric -c ${chip} 1 3`);
    await untilAccess(host, chip!, ACCESS);

    // Without the hook the kernel refuses.
    assertEquals((await suspend(host, "mem")).code === 0, false);
    assertEquals(await suspends(host), ["0", "1"]);
    await installHook(host);
    await host.run(
      `for file in /sys/bus/serio/devices/*/power/wakeup; do
         echo enabled >$file
       done`,
    );

    for (
      const [i, [state, how, entry]] of ([
        ["mem", "system_wakeup", "deep"],
        ["freeze", "sendkey a", "s2idle"],
      ] as const).entries()
    ) {
      await tool(host, `gpioset -t 0 -c ${chip} 0=1 2=1`);
      assertEquals(await read(), "1 1");
      const { code, output } = await wake(hmp, suspend(host, state), how);
      assertEquals(code, 0, output);
      assertEquals(await suspends(host), [`${i + 1}`, "1"]);
      assertStringIncludes(
        await host.run("dmesg | grep 'suspend entry' | tail -n 1"),
        entry,
      );

      // The chip is back with its access; one line is safe, the other one was
      // kept, and both work.
      [chip] = await untilChips(host, 1);
      await untilAccess(host, chip!, ACCESS);
      assertEquals(await read(), "0 1");
      await tool(host, `gpioset -t 0 -c ${chip} 0=1 2=0`);
      assertEquals(await read(), "1 0");
    }
  },
});

Deno.test({
  name: "systemctl suspend comes to the program that the test above runs",
  ignore,
  fn: async () => {
    const bin = (await artefact("udevdTrixie")).replace(/\/[^/]*$/, "");
    const unit = (name: string) =>
      Deno.readTextFile(`${bin}/../root/usr/lib/systemd/system/${name}`);
    // It starts this target, by logind or without it, as a closed lid does.
    assertStringIncludes(
      await unit("suspend.target"),
      "Requires=systemd-suspend.service\n",
    );
    assertStringIncludes(
      await unit("systemd-suspend.service"),
      "ExecStart=/usr/lib/systemd/systemd-sleep suspend\n",
    );
    const [theirs, ours] = await Promise.all(
      ["lib/systemd", "bin"].map((directory) =>
        Deno.readFile(`${bin}/../root/usr/${directory}/systemd-sleep`)
      ),
    );
    assertEquals(theirs, ours);
  },
});
