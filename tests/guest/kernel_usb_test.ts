/**
 * Kernel chips by way of the kernel's USB drivers, on Debian's own kernels, which
 * have no gpio-aggregator.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { mustSkip } from "../environment/environment.ts";
import { noteTime } from "../environment/figures.ts";
import { bootStockHost, type StockHost } from "../environment/stock_host.ts";
import { until } from "../environment/wait.ts";
import { startUdev, tool, untilAccess } from "./kernel_usb_rig.ts";

const ignore = await mustSkip(
  "deno",
  "qemuNew",
  "stockBookworm",
  "stockTrixie",
  "busybox",
  "udevd",
  "udevdTrixie",
);

const LIMIT_MS = 240_000;

/** Files as gpioagg sees them, and as the shell of the machine does. */
const ROOT = "/tmp/host";

const CONFIG = `
aggregators:
  plc0:
    kernel-chip: { interface: usb, mode: "660" }
    lines:
      - { sim: 1, as: RELAY, safe: 0 }
      - { copy: plc0.RELAY, as: SEEN }
      - { wire: other.OUT, as: WIRED }
      - { const: 1, as: ONE }
  other:
    vhost-user: /run/other.sock
    lines:
      - { sim: 1, as: OUT, initial: 1 }
`;

async function chips(host: StockHost): Promise<string[]> {
  const text = await host.run("gpiodetect 2>&1 || true");
  return text.split("\n").filter((line) => line.startsWith("gpiochip"));
}

async function untilChips(host: StockHost, count: number): Promise<string[]> {
  let found: string[] = [];
  await until(`${count} chips`, async () => {
    found = await chips(host);
    return found.length === count;
  }, LIMIT_MS);
  return found;
}

/** Starts a service with the configuration, and waits for its chip. */
async function startService(host: StockHost): Promise<number> {
  await host.run(`cat >${ROOT}/run/plant.yaml <<'END'\n${CONFIG}\nEND`);
  const pid = await host.start("serve --config /run/plant.yaml", "/tmp/serve");
  await until(
    "the service",
    async () => (await host.run("cat /tmp/serve")).includes("plc0: serving"),
    LIMIT_MS,
  ).catch(async (cause) => {
    throw new Error(await host.run("cat /tmp/serve"), { cause });
  });
  return pid;
}

/** Process ids of the processes that relay. */
async function relays(host: StockHost): Promise<string[]> {
  const { output } = await host.exec(
    `for process in /proc/[0-9]*; do
       grep -q 'usb-rela[y]' $process/cmdline 2>/dev/null &&
         echo \${process#/proc/}
     done`,
  );
  return output.split("\n").filter((line) => line !== "");
}

/**
 * Kills a process (SIGKILL); the time until the node of a chip is gone, or is
 * that of another one already. **Units**: ms.
 */
async function killAndTime(
  host: StockHost,
  pid: number | string,
  chip: string,
): Promise<number> {
  const times = await host.run(
    `node() { stat -c %i /dev/${chip} 2>&1; }
     old=$(node); kill -KILL ${pid}; cut -d ' ' -f 1 /proc/uptime
     while [ "$(node)" = "$old" ]; do :; done; cut -d ' ' -f 1 /proc/uptime`,
    { timeoutMs: LIMIT_MS },
  );
  const [from, to] = times.trim().split("\n").map(Number);
  return (to! - from!) * 1000;
}

/** Reads the line that follows RELAY. */
function seen(host: StockHost, chip: string): Promise<string> {
  return tool(host, `gpioget --numeric -c ${chip} 1`);
}

/**
 * Makes, uses and removes a chip of another maker beside one whose processes
 * stand still, and which stays meanwhile.
 */
async function createBeside(host: StockHost, chip: string): Promise<void> {
  const pid = await host.start(
    "kernel create --interface usb --name beside " +
      "--line sim/1,as=FAN --line copy/FAN",
    "/tmp/beside",
  );
  const found = (await untilChips(host, 2)).map((line) => line.split(" ")[0]!);
  const beside = found.find((name) => name !== chip)!;
  assertEquals(found.includes(chip), true);
  for (const level of ["1", "0", "1"]) {
    await tool(host, `gpioset -t 0 -c ${beside} 0=${level}`);
    assertEquals(await seen(host, beside), level);
  }
  const removed = await host.gpioagg("kernel remove beside --force");
  assertStringIncludes(removed.output, "removed beside");
  await untilChips(host, 1);
  await until(
    "the maker of the chip beside it ends",
    async () => (await host.exec(`kill -0 ${pid}`)).code !== 0,
    LIMIT_MS,
  );
}

/** `gpioagg kernel create` makes chips of as many adapters as lines need. */
async function createOfSeveralAdapters(host: StockHost): Promise<void> {
  const pid = await host.start(
    "kernel create --line sim/20 --name many",
    "/tmp/create",
  );
  const found = await untilChips(host, 3);
  assertEquals(found.map((line) => /\d+ lines/.exec(line)?.[0]), [
    "8 lines",
    "8 lines",
    "8 lines",
  ]);
  await until(
    "the table",
    async () => (await host.run("cat /tmp/create")).includes("20 lines"),
    LIMIT_MS,
  );
  const removed = await host.gpioagg("kernel remove many --force");
  assertStringIncludes(removed.output, "removed many");
  await untilChips(host, 0);
  await until(
    "its maker ends",
    async () => (await host.exec(`kill -0 ${pid}`)).code !== 0,
    LIMIT_MS,
  );
  assertStringIncludes(
    await host.run("cat /tmp/create"),
    "removed by another process",
  );
}

for (
  const [kernel, label, tells, access] of [
    // Mode of the configuration, and group of udev's rule.
    ["bookworm", "cp2112_gpio", false, "0 77 660"],
    // udev of this one is in the test of the host's sleep.
    ["trixie", "usb_ljca.ljca-gpio.0", true, "0 0 660"],
  ] as const
) {
  Deno.test({
    name: `Debian ${kernel}: lines with rules are a chip of the host's kernel`,
    ignore,
    fn: async () => {
      await using host = await bootStockHost(kernel, { inMemory: true });
      if (kernel === "bookworm") await startUdev(host, kernel);
      const pid = await startService(host);
      const [found] = await untilChips(host, 1);
      assertStringIncludes(found!, label);
      const chip = found!.split(" ")[0]!;
      await untilAccess(host, chip, access);

      // Sources of every kind are read, and outputs driven.
      assertEquals(
        await tool(host, `gpioget --numeric -c ${chip} 2 3`),
        "1 1",
      );
      assertEquals(await seen(host, chip), "0");
      await tool(host, `gpioset -t 0 -c ${chip} 0=1`);
      assertEquals(await seen(host, chip), "1");

      // Its own chip is no source.
      const own = await host.gpioagg(
        `serve --socket-path /run/own.sock --line ${chip}/1`,
      );
      assertEquals(own.code, 1);
      assertStringIncludes(own.output, "gpioagg itself is behind this chip");

      // A maker that stands still makes its chip fail, not its users hang.
      await host.run(`kill -STOP ${pid}`);
      const stopped = await host.exec(`gpioget -c ${chip} 1`, {
        timeoutMs: LIMIT_MS,
      });
      assertEquals(stopped.code, 1);
      await host.run(`kill -CONT ${pid}`);
      assertEquals(await seen(host, chip), "1");

      if (tells) {
        await host.run(
          `gpiomon --banner -n 1 -F 'event %E' -c ${chip} 1 >/tmp/events 2>&1 &`,
        );
        await until(
          "gpiomon is ready",
          async () =>
            (await host.run("cat /tmp/events")).includes("Monitoring"),
          LIMIT_MS,
        );
        await tool(host, `gpioset -t 0 -c ${chip} 0=0`);
        await until(
          "the edge",
          async () =>
            (await host.run("cat /tmp/events")).includes("event falling"),
          LIMIT_MS,
        );
      }

      // The process that relays is killed: the line is safe, the chip returns.
      // None of its lines is held, which Linux 6.1 does not take well.
      await tool(host, `gpioset -t 0 -c ${chip} 0=1`);
      assertEquals(await seen(host, chip), "1");
      const [old] = await relays(host);
      noteTime(
        `from SIGKILL of its relay to the end of ${label}`,
        await killAndTime(host, old!, chip),
      );
      const since = performance.now();
      await until(
        "another process that relays",
        async () => (await relays(host)).some((one) => one !== old),
        LIMIT_MS,
      );
      const [returned] = await untilChips(host, 1);
      noteTime(
        `from there to the next chip of ${label}`,
        performance.now() - since,
      );
      const again = returned!.split(" ")[0]!;
      await untilAccess(host, again, access);
      assertEquals(await seen(host, again), "0");

      // A maker that stands still, also with the process that relays, does not
      // make other programs' chips hang.
      await host.run(`kill -STOP ${pid}`);
      if (tells) await host.run(`kill -STOP ${(await relays(host))[0]}`);
      await createBeside(host, again);

      // The maker is killed: nothing stays, though the relaying process stands
      // still.
      noteTime(
        `from SIGKILL of its maker to the end of ${label}`,
        await killAndTime(host, pid, again),
      );
      await untilChips(host, 0);
      await until(
        "the process that relays ends",
        async () => (await relays(host)).length === 0,
        LIMIT_MS,
      );
      const gc = await host.gpioagg("kernel gc");
      assertStringIncludes(gc.output, "removed plc0");
      if (label === "cp2112_gpio") await createOfSeveralAdapters(host);
    },
  });
}
