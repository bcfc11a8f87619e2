/** gpioagg's own units under a real systemd, which is the first program here. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { ServiceClient } from "../../src/client/client.ts";
import { sendRequest } from "../../src/client/http_request.ts";
import { Chip } from "../../src/gpio/mod.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { IrqType } from "../../src/virtio/gpio/protocol.ts";
import type { SimChip } from "../environment/gpio_sim.ts";
import { OTHER_VERSION } from "../environment/other_version.ts";
import { EXECUTABLE, lacksApi } from "../environment/program.ts";
import { until } from "../environment/wait.ts";
import { gpioagg, holdChip } from "./kernel_chip_rig.ts";
import {
  dropIn,
  installUnits,
  properties,
  slowUdev,
  stopAtEnd,
  unitLog,
  upgradePackage,
} from "./systemd_rig.ts";
import {
  configure,
  KEPT,
  PLC_FILE,
  PLC_SOCKET,
  requestsAndReleases,
  serviceChip,
} from "./plc_rig.ts";
import { WireWatch } from "./restart_rig.ts";
import { shell } from "./shell.ts";

const TIMEOUT_MS = 120_000;
const PLC_API = "/run/gpioagg-plc0/api.sock";
const API_SOCKET = "/run/gpioagg/api.sock";
const LOOK_SOCKET = "/run/gpioagg/look.sock";

/** Shown characters of what units told, from its end. */
const SHOWN = 4000;

/** Returns the version of the process that serves plc0. */
async function runs(pid: string | undefined): Promise<string> {
  if (EXECUTABLE !== undefined) {
    return (await shell(`/proc/${pid}/exe --version`)).replace("gpioagg ", "");
  }
  const { body } = await sendRequest(PLC_API, {
    method: "GET",
    path: "/metrics",
  }, TIMEOUT_MS);
  const text = await new Response(ReadableStream.from(body)).text();
  return /^gpioagg_build_info\{version="([^"]*)"/m.exec(text)?.[1] ?? text;
}

/** A test of the control API. If it fails, it shows what the units told. */
function apiTest(name: string, test: () => Promise<void>): void {
  const fn = async () => {
    try {
      await test();
    } catch (error) {
      const told = (await unitLog()).slice(-SHOWN);
      throw new Error(`${error}\nThe units told:\n${told}`, { cause: error });
    }
  };
  Deno.test({ name, fn, ignore: lacksApi() });
}

Deno.test("the units and their user can be installed", installUnits);

Deno.test("systemctl start waits until a unit serves, and says what", async () => {
  await using chip = await serviceChip(3);
  await configure(chip.name);
  await using _end = stopAtEnd("gpioagg@plc0");
  await shell("systemctl start gpioagg@plc0");
  // No waiting: what is started can be connected to.
  using frontend = Frontend.open(PLC_SOCKET, { timeoutMs: TIMEOUT_MS });
  assertEquals(GpioDriver.attach(frontend).names(), ["PUMP", "LEVEL", "SPARE"]);
  // By its name, though its service may make no names.
  assertMatch((await gpioagg("sim", "plc0")).stdout, /SPARE/);
  const unit = await properties("gpioagg@plc0");
  assertEquals(unit.SubState, "running");
  assertEquals(unit.NRestarts, "0");
  assertEquals(unit.NFileDescriptorStore, KEPT);
  await until(
    "what is served",
    async () =>
      (await properties("gpioagg@plc0")).StatusText ===
        `Serving 1 aggregator with 3 lines${
          lacksApi() ? "" : ", and the control API"
        }`,
  );
  assertEquals(
    await shell(`stat -c '%U %G %a' ${PLC_SOCKET}`),
    "gpioagg vmm 660",
  );
  // A VMM of another user, but of that group, can connect; no other can.
  const mayUse = (group: string) =>
    shell(
      `setpriv --reuid=65534 --regid=${group} --clear-groups test -w ${PLC_SOCKET} && echo yes || echo no`,
    );
  assertEquals(await mayUse("vmm"), "yes");
  assertEquals(await mayUse("65534"), "no");
});

/** Starts a guest with an output that is set, and an interrupt that is armed. */
async function busyGuest(
  frontend: Frontend,
  chip: SimChip,
): Promise<GpioDriver> {
  const driver = GpioDriver.attach(frontend);
  driver.setValue(0, 1);
  driver.setInterruptType(1, IrqType.EdgeBoth);
  driver.arm(1);
  assertEquals(await chip.level(0), 1);
  return driver;
}

Deno.test("restarts by systemd, of whatever kind, change nothing on a line", async () => {
  await using chip = await serviceChip(3);
  await configure(chip.name);
  await using _end = stopAtEnd("gpioagg@plc0");
  await shell("systemctl start gpioagg@plc0");
  using frontend = Frontend.open(PLC_SOCKET, { timeoutMs: TIMEOUT_MS });
  const driver = await busyGuest(frontend, chip);

  // What the kernel does with the lines is told without a gap, and what is on
  // the wire is looked at as often as can be.
  using watcher = Chip.open(chip.path);
  for (const offset of [0, 1, 2]) watcher.watchLineInfo(offset);
  const levels = new Set<number>();
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      levels.add(await chip.level(0));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  })();

  let { MainPID: pid } = await properties("gpioagg@plc0");
  let restarts = 0;
  await using upgrades = new AsyncDisposableStack();
  for (
    const [way, result, version] of [
      ["systemctl restart gpioagg@plc0"],
      ["systemctl kill --signal=SIGKILL gpioagg@plc0", "signal"],
      ["systemctl kill --signal=SIGSTOP gpioagg@plc0", "watchdog"],
      ["systemctl restart gpioagg@plc0", undefined, OTHER_VERSION],
    ] as const
  ) {
    if (version !== undefined) {
      upgrades.use(await upgradePackage());
      assertEquals(await shell("gpioagg --version"), `gpioagg ${version}`);
      // What runs goes on, as the program that it was started with.
      const { MainPID, SubState } = await properties("gpioagg@plc0");
      assertEquals([MainPID, SubState], [pid, "running"]);
      assertEquals(driver.getValue(0), 1);
    }
    await shell(way);
    if (result !== undefined) restarts++;
    await until(way, async () => {
      const unit = await properties("gpioagg@plc0");
      return unit.MainPID !== pid && unit.SubState === "running";
    }, 120_000);
    const unit = await properties("gpioagg@plc0");
    pid = unit.MainPID;
    assertEquals(
      unit.NRestarts,
      String(way.includes("restart") ? restarts = 0 : restarts),
      way,
    );
    assertEquals(unit.NFileDescriptorStore, KEPT, way);
    await chip.pull(1, await chip.level(1) === 1 ? "down" : "up");
    assertEquals(driver.waitEvent(TIMEOUT_MS)?.lineNumber, 1, way);
    driver.arm(1);
    assertEquals(driver.getValue(0), 1, way);
    if (version !== undefined) assertEquals(await runs(pid), version);
  }
  isOver = true;
  await watching;
  assertEquals([...levels], [1]);
  assertEquals(requestsAndReleases(watcher), []);

  await shell("systemctl stop gpioagg@plc0");
  assertEquals(await chip.level(0), 0);
  assertEquals(watcher.lineInfo(0).used, false);
  const unit = await properties("gpioagg@plc0");
  assertEquals([unit.Result, unit.NFileDescriptorStore], ["success", "0"]);
  assertEquals(fileStatus("/run/gpioagg-plc0"), undefined);
});

Deno.test("starts by systemd that fail leave lines and a guest to the next one", async () => {
  await using chip = await serviceChip(3);
  await configure(chip.name);
  await using _end = stopAtEnd("gpioagg@plc0");
  await shell("systemctl start gpioagg@plc0");
  using frontend = Frontend.open(PLC_SOCKET, { timeoutMs: TIMEOUT_MS });
  const driver = await busyGuest(frontend, chip);
  using watch = new WireWatch(chip, [0]);

  // The lines of plc0 are taken by the time that this one is found missing.
  const good = await Deno.readTextFile(PLC_FILE);
  await Deno.writeTextFile(
    PLC_FILE,
    `${good}  other:
    vhost-user: /run/gpioagg-plc0/other.sock
    lines: [ "${chip.name}/9,direction=input" ]
`,
  );
  const before = (await unitLog()).length;
  await shell("systemctl kill --signal=SIGKILL gpioagg@plc0");
  const failed = "lines and sessions that were kept stay as they are";
  for (const starts of [1, 2]) {
    await until(
      `${starts} starts that fail`,
      async () => (await unitLog()).slice(before).split(failed).length > starts,
      TIMEOUT_MS,
    );
    assertEquals((await properties("gpioagg@plc0")).NFileDescriptorStore, KEPT);
  }
  // An edge while nothing serves, or is about to end.
  await chip.pull(1, "up");
  await Deno.writeTextFile(PLC_FILE, good);
  await until(
    "a start",
    async () => (await properties("gpioagg@plc0")).SubState === "running",
    TIMEOUT_MS,
  );
  assertEquals(driver.waitEvent(TIMEOUT_MS)?.lineNumber, 1);
  assertEquals(driver.getValue(0), 1);
  await watch.end("1");
  const { NRestarts, NFileDescriptorStore } = await properties("gpioagg@plc0");
  assert(Number(NRestarts) > 2, NRestarts);
  assertEquals(NFileDescriptorStore, KEPT);
});

Deno.test("systemctl reload has a file read again, unless there is a mistake in it", async () => {
  await using chip = await serviceChip(3);
  await configure(chip.name);
  await using _end = stopAtEnd("gpioagg@plc0");
  await shell(`systemctl start gpioagg@plc0
    sed -i 's/safe=0/safe=2/' ${PLC_FILE}`);
  await assertRejects(() => shell("systemctl reload gpioagg@plc0"));
  assertMatch(await unitLog(), /plc0\.yaml:5:.*safe/);
  assertEquals((await properties("gpioagg@plc0")).SubState, "running");
  await shell(`sed -i 's/safe=2/safe=1/' ${PLC_FILE}
    systemctl reload gpioagg@plc0`);
  await until(
    "the new rules",
    async () => (await unitLog()).includes("plc0: rules changed"),
  );
  // What is safe by now is seen when a guest has gone.
  {
    using frontend = Frontend.open(PLC_SOCKET, { timeoutMs: TIMEOUT_MS });
    GpioDriver.attach(frontend).setValue(0, 0);
  }
  await until("the safe value", async () => await chip.level(0) === 1);
});

apiTest("a client's first call starts the service, by its socket", async () => {
  await using chip = await serviceChip(2);
  const sockets = ["gpioagg.socket", "gpioagg-look.socket"];
  await using _end = stopAtEnd(...sockets, "gpioagg");
  await shell(`systemctl start ${sockets.join(" ")}`);
  assertEquals((await properties("gpioagg")).SubState, "dead");
  assertEquals(
    await shell(`stat -c '%U %G %a' /run/gpioagg ${API_SOCKET} ${LOOK_SOCKET}`),
    "root root 755\nroot root 600\nroot gpioagg 660",
  );
  const untilStatus = (text: string) =>
    until(
      `the status "${text}"`,
      async () => (await properties("gpioagg")).StatusText === text,
    );
  // Both clients come before the service does.
  const limit = { limitMs: TIMEOUT_MS };
  const look = new ServiceClient(LOOK_SOCKET, limit).list();
  const client = new ServiceClient(API_SOCKET, limit);
  {
    await using lamp = await client.create({
      name: "lamp",
      lines: [`${chip.name}/0,as=LAMP,direction=output,initial=1,safe=0`],
    });
    // Whether the lamp was there by then is not said.
    assert((await look).every(({ name }) => name === "lamp"));
    assertEquals(lamp.socketPath, "/run/gpioagg/vm/lamp.sock");
    assertEquals(await chip.level(0), 1);
    using frontend = Frontend.open(lamp.socketPath!, { timeoutMs: TIMEOUT_MS });
    assertEquals(GpioDriver.attach(frontend).names(), ["LAMP"]);
    await untilStatus("Serving 1 aggregator with 1 line, and the control API");
  }
  assertEquals(await chip.level(0), 0);
  const audit = readSmallFile("/var/log/gpioagg/audit.log") ?? "";
  assertMatch(audit, /lamp/);
  const unit = await properties("gpioagg");
  assertEquals([unit.SubState, unit.NRestarts], ["running", "0"]);
  await untilStatus("Serving the control API");

  // What clients made to outlast them outlasts a restart too, as it is.
  const specs = [`${chip.name}/1,as=VALVE,direction=output,initial=1`];
  await client.createLasting({ name: "valve", lines: specs });
  using watcher = Chip.open(chip.path);
  watcher.watchLineInfo(1);
  await shell("systemctl restart gpioagg");
  assertEquals((await client.list()).map(({ name }) => name), ["valve"]);
  assertEquals(await chip.level(1), 1);
  assertEquals(requestsAndReleases(watcher), []);

  // The signal alone, without a job of the manager's, does the same.
  const { MainPID: before } = await properties("gpioagg");
  await shell("systemctl kill --kill-who=main --signal=SIGUSR2 gpioagg");
  await until("another process serves", async () => {
    const { MainPID, SubState } = await properties("gpioagg");
    return MainPID !== before && SubState === "running";
  });
  assertEquals((await client.list()).map(({ name }) => name), ["valve"]);
  assertEquals(await chip.level(1), 1);
  assertEquals(requestsAndReleases(watcher), []);

  // A stop of the service leaves its sockets, which start it again.
  await shell("systemctl stop gpioagg");
  assertEquals(await client.list(), []);
  await shell(`systemctl stop ${sockets.join(" ")} gpioagg`);
  assertEquals(fileStatus(API_SOCKET), undefined);
});

apiTest(
  "with its drop-in, the service makes chips of the kernel, and takes them down",
  async () => {
    await using chip = await serviceChip(2);
    await using valve = await holdChip(
      "--name",
      "valve",
      "--line",
      `${chip.name}/1`,
    );
    await using _dropIn = await dropIn("gpioagg.service", "kernel-chips.conf");
    await using _end = stopAtEnd(
      "gpioagg.socket",
      "gpioagg-look.socket",
      "gpioagg",
    );
    await shell("systemctl start gpioagg");
    // What is asked for holds, though udev has its own idea, and comes late.
    await using _slow = await slowUdev();
    // The end of a lease asks whether the chip is gone. After a stop that starts
    // the service again, by its socket, which takes some seconds here.
    const client = new ServiceClient(API_SOCKET, { limitMs: 120_000 });
    const create = (name: string) => ({
      name,
      lines: [`${chip.name}/0`],
      kernelChip: { group: "vmm", mode: "0640" },
    });
    const { kernelChip } = await client.createLasting(create("lasting"));
    assertEquals(
      await shell(`stat -c '%U %G %a' ${kernelChip!.path}`),
      "root vmm 640",
    );
    assertEquals(
      await gpioagg("get", "--numeric", "-c", kernelChip!.path, "0"),
      {
        code: 0,
        stdout: "0\n",
        stderr: "",
      },
    );
    // A maker that the service does not know lives, and keeps its chip.
    const before = (await properties("gpioagg")).MainPID;
    await shell(`kill -KILL ${before}`);
    await until(
      "the service again",
      async () => {
        const { MainPID, SubState } = await properties("gpioagg");
        return MainPID !== before && SubState === "running";
      },
      120_000,
    );
    const [again] = await client.list();
    assertEquals(again?.kernelChip?.present, true);
    assertEquals(fileStatus(valve.chip.path!)?.kind, "character device");
    await client.remove("lasting");
    {
      await using leased = await client.create(create("leased"));
      assertEquals(fileStatus(leased.chipPath)?.kind, "character device");
      await shell("systemctl stop gpioagg");
      assertEquals(fileStatus(leased.chipPath), undefined);
    }
    assertEquals(fileStatus(valve.chip.path!)?.kind, "character device");
  },
);

Deno.test("a service waits for a chip that comes late", async () => {
  await configure("plant");
  await using _end = stopAtEnd("gpioagg@plc0");
  await assertRejects(() => shell("systemctl start gpioagg@plc0"));
  assertMatch(await unitLog(), /plc0\.yaml:5:.*Cannot find chip/);
  await using _chip = await serviceChip(3, "plant");
  await until(
    "the service",
    async () => (await properties("gpioagg@plc0")).SubState === "running",
    120_000,
  );
  // It would have, however long it had to wait.
  const { StartLimitIntervalUSec } = await properties("gpioagg@plc0");
  assertEquals(StartLimitIntervalUSec, "0");
});

Deno.test("what a service may do is what it needs, and no more", async () => {
  await using chip = await serviceChip(3);
  await configure(chip.name);
  await using _end = stopAtEnd("gpioagg@plc0");
  await shell("systemctl start gpioagg@plc0");
  const { MainPID: pid, ControlGroup } = await properties("gpioagg@plc0");
  const status = readSmallFile(`/proc/${pid}/status`) ?? "";
  for (const rule of ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0{16}"]) {
    assertMatch(status, new RegExp(`^${rule}$`, "m"));
  }
  // A network of its own, with nothing in it.
  const network = readSmallFile(`/proc/${pid}/net/dev`) ?? "";
  assertEquals([...network.matchAll(/^ *(\w+):/gm)].map(([, name]) => name), [
    "lo",
  ]);
  // Not even root opens other devices from there.
  const opens = (device: string) =>
    shell(`echo $$ > /sys/fs/cgroup${ControlGroup}/cgroup.procs
      (: < ${device}) 2>&1 && echo yes || :`);
  assertEquals(await opens(chip.path), "yes");
  assertMatch(await opens("/dev/kmsg"), /Operation not permitted/);
});
