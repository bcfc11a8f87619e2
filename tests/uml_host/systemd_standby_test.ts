/** `serve --standby` as a unit of a real systemd, with the guide's drop-in. */
import { assert, assertEquals } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { Chip } from "../../src/gpio/mod.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { IrqType } from "../../src/virtio/gpio/protocol.ts";
import { listChildren } from "../environment/child_processes.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { noteTime } from "../environment/figures.ts";
import type { SimChip } from "../environment/gpio_sim.ts";
import { replaceService, waitForPair } from "../environment/keeper_pair.ts";
import { EXECUTABLE, lacksApi } from "../environment/program.ts";
import { until } from "../environment/wait.ts";
import {
  configure,
  KEPT,
  PLC_SOCKET,
  requestsAndReleases,
  serviceChip,
} from "./plc_rig.ts";
import { INSTALLED, shell, TOP } from "./shell.ts";
import { installUnits, properties, stopAtEnd, unitLog } from "./systemd_rig.ts";

const TIMEOUT_MS = 180_000;
/** Interval of looks at a wire. **Units**: milliseconds. */
const LOOK_MS = 5;
/** Shown characters of what the unit told, from its end. */
const SHOWN = 6000;
/** The program that a keeper starts. */
const PROGRAM = EXECUTABLE === undefined ? `${TOP}/bin/deno` : INSTALLED;

/** Takes the drop-in out of the guide; it goes with the object. */
async function standbyDropIn(): Promise<AsyncDisposable> {
  const guide = await Deno.readTextFile(`${REPOSITORY}/docs/guide.md`);
  const [, text] =
    /```ini\n(\[Service\]\nExecStart=\nExecStart=.*--standby.*\n)```/
      .exec(guide)!;
  const file = "/etc/systemd/system/gpioagg@.service.d/standby.conf";
  // The guide says that this suffices.
  await Deno.writeTextFile(file, `${text}NotifyAccess=main\n`);
  await shell("systemctl daemon-reload");
  return {
    [Symbol.asyncDispose]: async () => {
      await shell(`rm ${file}; systemctl daemon-reload`);
    },
  };
}

/** The unit, its chip, and a guest that does not notice what is done to it. */
class Plc implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;

  private constructor(
    readonly chip: SimChip,
    readonly driver: GpioDriver,
    readonly watcher: Chip,
    stack: AsyncDisposableStack,
  ) {
    this.#stack = stack;
  }

  static async start(): Promise<Plc> {
    await using stack = new AsyncDisposableStack();
    const chip = stack.use(await serviceChip(3));
    await configure(chip.name);
    stack.use(await standbyDropIn());
    stack.use(stopAtEnd("gpioagg@plc0"));
    await shell("systemctl start gpioagg@plc0");
    const driver = GpioDriver.attach(
      stack.use(Frontend.open(PLC_SOCKET, { timeoutMs: TIMEOUT_MS })),
    );
    driver.setValue(0, 1);
    driver.setInterruptType(1, IrqType.EdgeBoth);
    driver.arm(1);
    const watcher = stack.use(Chip.open(chip.path));
    for (const offset of [0, 1, 2]) watcher.watchLineInfo(offset);
    return new Plc(chip, driver, watcher, stack.move());
  }

  /** The guest has its interrupt, and its output the value that it set. */
  async goesOn(way: string): Promise<void> {
    await this.chip.pull(1, await this.chip.level(1) === 1 ? "down" : "up");
    assertEquals(this.driver.waitEvent(TIMEOUT_MS)?.lineNumber, 1, way);
    this.driver.arm(1);
    assertEquals(this.driver.waitEvent(0), undefined, way);
    assertEquals(this.driver.getValue(0), 1, way);
    assertEquals(await this.chip.level(0), 1, way);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}

const unit = () => properties("gpioagg@plc0");

/** Waits until the unit runs with another main process; returns that. */
async function nextKeeper(way: string, keeper: number): Promise<number> {
  let next = keeper;
  await until(way, async () => {
    const { MainPID, SubState } = await unit();
    next = Number(MainPID);
    return next !== 0 && next !== keeper && SubState === "running";
  }, TIMEOUT_MS);
  return next;
}

/** Waits until the unit says one of these. */
async function told(...texts: readonly string[]): Promise<void> {
  await until(texts.join(" or "), async () => {
    const log = await unitLog();
    return texts.some((text) => log.includes(text));
  }, TIMEOUT_MS);
}

/** A test that shows what the unit told if it fails. */
function plcTest(name: string, test: (plc: Plc) => Promise<void>): void {
  const fn = async () => {
    try {
      await using plc = await Plc.start();
      await test(plc);
    } catch (error) {
      const log = (await unitLog()).slice(-SHOWN);
      throw new Error(`${error}\nThe unit told:\n${log}`, { cause: error });
    }
  };
  Deno.test({ name, fn, ignore: lacksApi() });
}

/** Levels of a wire, each as often as it changes, until they are asked for. */
class WireLevels {
  readonly #seen: number[] = [];
  readonly #watching: Promise<void>;
  #isOver = false;

  constructor(chip: SimChip, offset: number) {
    this.#watching = this.#look(chip, offset);
    // A test that fails takes the chip away.
    this.#watching.catch(() => {});
  }

  async end(): Promise<readonly number[]> {
    this.#isOver = true;
    await this.#watching;
    return this.#seen;
  }

  async #look(chip: SimChip, offset: number): Promise<void> {
    while (!this.#isOver) {
      const level = await chip.level(offset);
      if (level !== this.#seen.at(-1)) this.#seen.push(level);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }
}

Deno.test("the units and their user can be installed", installUnits);

plcTest(
  "a takeover is none for the unit, and the keeper's end is a restart of it",
  async (plc) => {
    const { chip, driver, watcher } = plc;
    const watch = new WireLevels(chip, 0);
    let keeper = Number((await unit()).MainPID);
    let service: number | undefined;
    for (const how of ["SIGUSR1", "SIGKILL"] as const) {
      await waitForPair(keeper, service);
      const from = performance.now();
      // The guest asks while nothing may be there to answer.
      const replaced = replaceService(keeper, how, service);
      driver.askValue(0);
      service = await replaced;
      await until("the answer", () => driver.requests.reap() > 0, TIMEOUT_MS);
      noteTime(`takeover under systemd after ${how}`, performance.now() - from);
      await plc.goesOn(how);
      const { MainPID, NRestarts, SubState, NFileDescriptorStore } =
        await unit();
      assertEquals(
        [MainPID, NRestarts, SubState, NFileDescriptorStore],
        [String(keeper), "0", "running", KEPT],
        how,
      );
    }
    await told("the service ended unexpectedly (signal 9)");
    await shell("systemctl reload gpioagg@plc0");
    await plc.goesOn("systemctl reload");
    assertEquals(Number((await unit()).MainPID), keeper);

    // The process that systemd knows ends, and the spare with it.
    let restarts = 0;
    for (
      const [way, command, isJob = false] of [
        ["SIGKILL of the main process", "kill -KILL $keeper"],
        ["SIGKILL of all", "systemctl kill --signal=SIGKILL gpioagg@plc0"],
        ["the watchdog: the service hangs", "kill -STOP $service"],
        ["the watchdog: the keeper hangs", "kill -STOP $keeper"],
        ["systemctl restart", "systemctl restart gpioagg@plc0", true],
      ] as const
    ) {
      const before = await waitForPair(keeper);
      await shell(`keeper=${keeper} service=${before[0]}; ${command}`);
      restarts = isJob ? 0 : restarts + 1;
      keeper = await nextKeeper(way, keeper);
      const { NRestarts, NFileDescriptorStore } = await unit();
      assertEquals(
        [NRestarts, NFileDescriptorStore],
        [String(restarts), KEPT],
        way,
      );
      await plc.goesOn(way);
      const { ControlGroup } = await unit();
      const procs = await shell(
        `cat /sys/fs/cgroup${ControlGroup}/cgroup.procs`,
      );
      for (const pid of before) {
        assert(!procs.split("\n").includes(String(pid)), `${way}: ${procs}`);
      }
    }
    assertEquals(await watch.end(), [1]);
    assertEquals(requestsAndReleases(watcher), []);

    // An orderly end, once: the wire never has its old value again.
    await waitForPair(keeper);
    const last = new WireLevels(chip, 0);
    await shell("systemctl stop gpioagg@plc0");
    assertEquals(await chip.level(0), 0);
    assertEquals(await last.end(), [1, 0]);
    assertEquals(watcher.lineInfo(0).used, false);
    const { Result, NFileDescriptorStore } = await unit();
    assertEquals([Result, NFileDescriptorStore], ["success", "0"]);
    assertEquals(fileStatus("/run/gpioagg-plc0"), undefined);
  },
);

plcTest(
  "a spare that cannot be started is told, and the service goes on without it",
  async (plc) => {
    const keeper = Number((await unit()).MainPID);
    const [service, spare] = await waitForPair(keeper);
    {
      await using stack = new AsyncDisposableStack();
      // What comes next starts nothing.
      await shell(`mount --bind /bin/false ${PROGRAM}`);
      stack.defer(async () => void await shell(`umount ${PROGRAM}`));
      Deno.kill(spare, "SIGKILL");
      await told(
        "the spare process ended unexpectedly (signal 9)",
        // It was not warm yet.
        "the spare process could not be started (signal 9)",
      );
      await told("the spare process could not be started (status 1)");
      assertEquals(listChildren(keeper)[0], service);
      await plc.goesOn("no spare");
      Deno.kill(keeper, "SIGUSR1");
      await told("not restarted: the next process cannot be started");
      await plc.goesOn("no restart");
      assertEquals(listChildren(keeper)[0], service);
      // Without a spare the end of the service is the keeper's, and the unit's.
      Deno.kill(service, "SIGKILL");
      await until(
        "the unit is tried again",
        async () => Number((await unit()).NRestarts) > 0,
        TIMEOUT_MS,
      );
    }
    const next = await nextKeeper("the unit serves again", keeper);
    await plc.goesOn("a restart of the unit");
    await waitForPair(next);
    assertEquals((await unit()).NFileDescriptorStore, KEPT);
    assertEquals(await plc.chip.level(0), 1);
  },
);
