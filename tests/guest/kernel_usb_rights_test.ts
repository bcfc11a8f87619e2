/**
 * Kernel chips by USB on Debian 12's own kernel: lines of a chip of the machine, a
 * maker without root's rights, one that stands still, and the host's sleep.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { mustSkip, REPOSITORY } from "../environment/environment.ts";
import { Service } from "../environment/service.ts";
import { bootStockHost, type StockHost } from "../environment/stock_host.ts";
import { until } from "../environment/wait.ts";
import { HOST_CONTROLLER } from "../../src/usbip/host_controller.ts";

const ignore = await mustSkip("deno", "qemuNewest", "stockBookworm");

const LIMIT_MS = 240_000;

/** Files as gpioagg sees them, and as the shell of the machine does. */
const ROOT = "/tmp/host";

/** gpiochip2 is a chip of the machine: the first 16 lines of a PCI card. */
const CONFIG = `
aggregators:
  plc0:
    kernel-chip: { interface: usb }
    lines:
      - { wire: other.OUT, as: WIRED }
      - { chip: gpiochip2, offset: 0, as: SENSOR, shared: true }
      - { chip: gpiochip2, offset: 1, as: HORN, combine: or, safe: 0 }
  other:
    vhost-user: /run/other.sock
    lines:
      - { sim: 1, as: OUT, initial: 1 }
      - { chip: gpiochip2, offset: 0, as: SENSOR, shared: true }
      - { chip: gpiochip2, offset: 1, as: HORN, combine: or, safe: 0 }
`;

/** Waits for so many chips by USB; their names. */
async function untilChips(host: StockHost, count: number): Promise<string[]> {
  let found: string[] = [];
  await until(`${count} chips`, async () => {
    const text = await host.run("gpiodetect 2>&1 || true");
    found = [...text.matchAll(/^(gpiochip\d+) \[cp2112_gpio\]/gm)]
      .map(([, name]) => name!);
    return found.length === count;
  }, LIMIT_MS);
  return found;
}

async function untilSaid(host: StockHost, file: string, text: string) {
  await until(
    `${file} has "${text}"`,
    async () => (await host.run(`cat ${file}`)).includes(text),
    LIMIT_MS,
  );
}

Deno.test({
  name:
    "a chip by USB has host lines, a maker without rights, and lets go for sleep",
  ignore,
  fn: async () => {
    await using card = await Service.start({ card: ["sim/16"] }, "--vfio-user");
    await using host = await bootStockHost("bookworm", {
      vfioUser: card.socket("card"),
    });
    await host.run(`cat >${ROOT}/run/plant.yaml <<'END'\n${CONFIG}\nEND`);
    const pid = await host.start(
      "serve --config /run/plant.yaml",
      "/tmp/serve",
    );
    await untilSaid(host, "/tmp/serve", "plc0: serving");
    const [chip] = await untilChips(host, 1);

    // Wired, shared and combined lines.
    await card.pull("card", "sim0=1");
    assertEquals(await host.run(`gpioget --numeric -c ${chip} 0 1`), "1 1");
    const horn = async () => (await card.lines("card"))["sim1"]?.value;
    await host.run(`gpioset -t 0 -c ${chip} 2=1`);
    assertEquals(await horn(), 1);

    // A maker of another user, with a descriptor that root has opened.
    const maker = await host.start(
      "kernel create --device cp2112 --line sim/1 --name small --attach-fd 9",
      "/tmp/small",
      { uid: 1234, redirections: `9>${HOST_CONTROLLER}/attach` },
    );
    const both = await untilChips(host, 2);
    const small = both.find((name) => name !== chip)!;
    await untilSaid(host, "/tmp/small", "held by");
    assertEquals(
      (await host.run(`grep ^Uid: /proc/${maker}/status`)).split(/\s+/)[1],
      "1234",
    );

    // One that stands still: what uses its chip fails, other chips work.
    await host.run(`kill -STOP ${pid}`);
    await host.run(
      `(gpioget -c ${chip} 1; echo "status $?") >/tmp/stopped 2>&1 &`,
    );
    assertEquals(await host.run(`gpioget --numeric -c ${small} 0`), "0");
    await untilSaid(host, "/tmp/stopped", "status 1");
    await host.run(`kill -CONT ${pid}`);

    // The hook takes both adapters away and gives them back. The line that one
    // of them drove is safe.
    const hook = (half: string) =>
      host.run(
        `chroot ${ROOT} '${REPOSITORY}/scripts/systemd/gpioagg.sleep' ${half}`,
        { timeoutMs: LIMIT_MS },
      );
    assertEquals((await hook("pre")).match(/^detached /gm)?.length, 2);
    await untilChips(host, 0);
    await until("the line is safe", async () => await horn() === 0);
    await hook("post");
    await untilChips(host, 2);

    // Last, since the files of this machine do not survive it: with adapters
    // the kernel refuses to suspend.
    await host.run("echo devices >/sys/power/pm_test");
    const refused = await host.exec("echo freeze >/sys/power/state");
    assertEquals(refused.code === 0, false);
    assertStringIncludes(refused.output, "Device or resource busy");
  },
});
