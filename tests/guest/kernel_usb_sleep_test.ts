/**
 * A kernel chip by USB on Debian 13's own kernel: its access beside udev's rules,
 * and a host that is suspended.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { artefact, mustSkip, REPOSITORY } from "../environment/environment.ts";
import { Monitor } from "../environment/qemu_monitor.ts";
import { bootStockHost, type StockHost } from "../environment/stock_host.ts";
import { until } from "../environment/wait.ts";
import { tool } from "./kernel_usb_rig.ts";

const ignore = await mustSkip(
  "deno",
  "qemuNew",
  "stockTrixie",
  "busybox",
  "udevd",
);

const LIMIT_MS = 240_000;

/** Files as gpioagg sees them, and as the shell of the machine does. */
const ROOT = "/tmp/host";

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

/** Starts udev, with a rule that says less than the configuration, and more. */
async function startUdev(host: StockHost): Promise<void> {
  await host.run(
    `mkdir -p ${ROOT}/etc/udev/rules.d
     cat >${ROOT}/etc/udev/rules.d/60-test.rules <<'END'
SUBSYSTEM=="gpio", KERNEL=="gpiochip[0-9]*", GROUP="77", MODE="0664"
END
     chroot ${ROOT} '${await artefact("udevd")}' --daemon`,
    { timeoutMs: LIMIT_MS },
  );
}

/**
 * Waits until a chip's access is that of the configuration, and of udev's rule
 * where that says nothing.
 */
async function untilAccess(host: StockHost, chip: string): Promise<void> {
  let access = "";
  await until(`the access of ${chip}`, async () => {
    access = await host.run(`stat -c '%u %g %a' /dev/${chip}`);
    return access === "1234 77 640";
  }, LIMIT_MS).catch((cause) => {
    throw new Error(`${chip} has ${access}`, { cause });
  });
}

/** Suspends that succeeded, and that failed. */
async function suspends(host: StockHost): Promise<string[]> {
  return (await host.run("cd /sys/power/suspend_stats; cat success fail"))
    .trim().split("\n");
}

Deno.test({
  name: "a host is suspended and resumed, and its chip by USB is back",
  ignore,
  fn: async () => {
    await using hmp = await Monitor.prepare();
    await using host = await bootStockHost("trixie", {
      inMemory: true,
      arguments: hmp.arguments,
    });
    await host.run(`cat >${ROOT}/run/plant.yaml <<'END'\n${CONFIG}\nEND`);
    await startUdev(host);
    await host.start("serve --config /run/plant.yaml", "/tmp/serve");
    await until(
      "the service",
      async () => (await host.run("cat /tmp/serve")).includes("plc0: serving"),
      LIMIT_MS,
    ).catch(async (cause) => {
      throw new Error(await host.run("cat /tmp/serve"), { cause });
    });
    const [chip] = await untilChips(host, 1);
    await untilAccess(host, chip!);
    await tool(host, `gpioset -t 0 -c ${chip} 0=1 2=1`);
    assertEquals(
      await tool(host, `gpioget --numeric -c ${chip} 1 3`),
      "1 1",
    );

    const suspend = "echo mem >/sys/power/state";
    const refused = await host.exec(suspend, { timeoutMs: LIMIT_MS });
    assertStringIncludes(refused.output, "Device or resource busy");
    assertEquals(await suspends(host), ["0", "1"]);

    // As systemd does: the hook, the suspend, the hook.
    const hook = (half: string) =>
      host.run(
        `chroot ${ROOT} '${REPOSITORY}/scripts/systemd/gpioagg.sleep' ${half}`,
        { timeoutMs: LIMIT_MS },
      );
    assertStringIncludes(await hook("pre suspend"), "detached ");
    await untilChips(host, 0);
    const suspended = host.exec(suspend, { timeoutMs: LIMIT_MS });
    await until(
      "the machine is suspended",
      async () => (await hmp.run("info status")).includes("suspended"),
      LIMIT_MS,
    );
    await hmp.run("system_wakeup");
    assertEquals(await suspended, { code: 0, output: "" });
    assertEquals(await suspends(host), ["1", "1"]);
    await hook("post suspend");

    // The chip is back with its access; one line is safe, the other one was
    // kept, and both work.
    const [again] = await untilChips(host, 1);
    await untilAccess(host, again!);
    const read = () => tool(host, `gpioget --numeric -c ${again} 1 3`);
    assertEquals(await read(), "0 1");
    await tool(host, `gpioset -t 0 -c ${again} 0=1 2=0`);
    assertEquals(await read(), "1 0");
  },
});
