/** `gpioagg kernel create --interface usb` on the kernel double. */
import {
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { effectiveUserId } from "../../ffi/sysfs.ts";
import {
  addHostController,
  detachAdapter,
  plugAdapter,
} from "../doubles/gpio_kernel/host_controller.ts";
import { GpioKernel } from "../doubles/gpio_kernel/kernel.ts";
import { gpioagg } from "../doubles/program/captured.ts";
import { runProgramsInside } from "../doubles/program/command.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { ConfigError } from "../../src/config/document/config_error.ts";
import { takeDown } from "../../src/kernel_chip/cleanup.ts";
import { Records, RECORDS_DIRECTORY } from "../../src/kernel_chip/records.ts";
import { HOST_CONTROLLER } from "../../src/usbip/host_controller.ts";
import { isHeld } from "../../src/kernel_chip/suspend.ts";
import { createUsbChip } from "../../src/cli/commands/kernel_usb.ts";

/** A user whose records are in a directory of its own. */
const USER = effectiveUserId() || 1000;

/** A kernel with a USB host controller, and the program as a user's. */
function rig() {
  const stack = new DisposableStack();
  const kernel = stack.use(GpioKernel.install());
  addHostController(kernel.root);
  stack.use(runProgramsInside(USER));
  const runtime = Deno.makeTempDirSync();
  stack.defer(() => Deno.removeSync(runtime, { recursive: true }));
  return {
    kernel,
    records: new Records(`${runtime}/gpioagg/${RECORDS_DIRECTORY}`),
    create: (...args: readonly string[]) =>
      new ChildProcess({
        command: PROGRAM_FILE,
        args: [
          ...PROGRAM,
          ..."kernel create --interface usb --device cp2112".split(" "),
          ...args,
        ],
        env: { XDG_RUNTIME_DIR: runtime },
      }),
    /** Labels of the kernel's chips. */
    chips: () =>
      kernel.look().chips.filter(({ isPlugged }) => isPlugged)
        .map(({ label }) => label),
    [Symbol.dispose]: () => stack.dispose(),
  };
}

Deno.test("a chip by USB is there until its maker is told to end", async () => {
  using it = rig();
  const spec = "sim/2,as=LAMP,direction=output,safe=0";
  await using maker = it.create("--name", "panel", "--line", spec);
  const [table] = await maker.waitFor(/^panel[^]*^ {2}1 .*$/m);
  assertEquals(table.split("\n").map((line) => line.split(/ {2,}/)), [
    [
      "panel",
      "/dev/gpiochip0",
      "usb",
      "2 lines",
      `held by process ${Deno.pid}`,
    ],
    ["", "0", "LAMP0", spec],
    ["", "1", "LAMP1", spec],
  ]);
  assertEquals(it.chips(), ["cp2112_gpio"]);
  await using other = it.create("--name", "panel", "--line", "sim/1");
  assertEquals((await other.waitForExit()).code, 2);
  assertMatch(
    other.stderr,
    /--name: the name "panel" is taken by a chip that process \d+ holds/,
  );
  maker.kill("SIGTERM");
  assertEquals((await maker.waitForExit()).code, 0);
  assertEquals(maker.stderr, "");
  assertEquals(it.chips(), []);
  assertEquals(await it.records.list(), []);
});

Deno.test("the maker of a chip by USB tells that it is lost, made again, and removed", async () => {
  using it = rig();
  await using maker = it.create("--json", "--line", "sim/1");
  await maker.waitFor("\n");
  const { name, state, path, lines } = JSON.parse(maker.stdout);
  assertEquals([name, state, path, lines.length], [
    "agg0",
    "held",
    "/dev/gpiochip0",
    1,
  ]);
  detachAdapter(it.kernel, 0);
  await maker.waitFor("is there again\n", { stream: "stderr" });
  assertEquals(maker.stderr.trimEnd().split("\n"), [
    "gpioagg: agg0: /dev/gpiochip0 is gone: the kernel has detached the device",
    "gpioagg: agg0: /dev/gpiochip0 is there again",
  ]);
  assertEquals(it.chips(), ["cp2112_gpio"]);
  {
    using _lock = await it.records.lock();
    const [record] = await it.records.list();
    await takeDown(it.records, record!);
  }
  assertEquals((await maker.waitForExit()).code, 1);
  // It may see that the adapter is gone before the record is.
  assertEquals(
    maker.stderr.trimEnd().split("\n").at(-1),
    "gpioagg: agg0: /dev/gpiochip0 was removed by another process",
  );
  assertEquals(it.chips(), []);
});

Deno.test("kernel suspend detaches adapters, and keeps makers from attaching them", async () => {
  using it = rig();
  const directory = Deno.makeTempDirSync();
  try {
    const kernel = (action: string, ...args: string[]) =>
      gpioagg(["kernel", action, "--directory", directory, ...args]);
    plugAdapter(it.kernel, "plc0.0123456789abcdef", 8);
    assertEquals(await kernel("suspend"), {
      code: 0,
      stdout: "detached plc0.0123456789abcdef (port 0)\n",
      stderr: "",
    });
    assertEquals(it.chips(), []);
    const records = `${directory}/${RECORDS_DIRECTORY}`;
    assertEquals(isHeld(records), true);
    assertEquals(await kernel("resume"), { code: 0, stdout: "", stderr: "" });
    assertEquals(isHeld(records), false);
    const again = await kernel("suspend");
    assertEquals(again.stdout, "no adapter was attached\n");
    const { stdout } = await kernel("suspend", "--json");
    assertEquals(JSON.parse(stdout), { adapters: [] });
    for (const action of ["suspend", "resume"]) {
      assertEquals((await kernel(action, "now")).code, 2);
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("a descriptor that is not the host controller's is refused", async () => {
  using it = rig();
  for (
    const [args, problem] of [
      ["--attach-fd 1000000", "1000000: is not an open file"],
      ["--attach-fd nine", "nine: is not a valid file descriptor number"],
      [
        "--attach-fd 0 --interface sysfs",
        "makes no sense with interface sysfs",
      ],
      ["--attach-fd 0", "/attach"],
    ] as const
  ) {
    const { code, stderr } = await gpioagg(
      ["kernel", "create", "--line", "sim/1", ...args.split(" ")],
    );
    assertEquals(code, 2, stderr);
    assertStringIncludes(stderr, problem);
    assertStringIncludes(
      stderr,
      args.endsWith("sysfs") ? "leave --attach-fd out" : "9>/sys/devices",
    );
  }
  assertEquals(it.chips(), []);
});

Deno.test("a chip by USB of a line that is not there leaves nothing", async () => {
  using it = rig();
  await using maker = it.create("--line", "sim/1", "--line", "gpiochip4000/0");
  assertEquals((await maker.waitForExit()).code, 1);
  assertEquals(maker.stdout, "");
  assertStringIncludes(maker.stderr, "gpiochip4000");
  assertEquals(it.chips(), []);
  assertEquals(await it.records.list(), []);
});

Deno.test("lines that only USB can have make a chip by USB, or name what is missing", async () => {
  using it = rig();
  const create = (...args: readonly string[]) =>
    gpioagg(["kernel", "create", ...args]);
  Deno.removeSync(`${it.kernel.root}${HOST_CONTROLLER}/attach`);
  const neither = await create("--line", "sim/1");
  assertEquals(neither.code, 1);
  assertStringIncludes(neither.stderr, "modprobe vhci-hcd");
  // A driver that does not have the line: which line it is, and what does.
  it.kernel.addAggregatorDriver();
  const refused = await create("--line", "sim/1");
  assertEquals(refused.code, 2);
  assertMatch(
    refused.stderr,
    /--line sim\/1: a kernel chip cannot have such a line.*\n.*use interface usb \(modprobe vhci-hcd\)/,
  );
});

Deno.test("a chip by USB needs a line", async () => {
  const error = await assertRejects(
    () =>
      createUsbChip({ name: "panel", lines: [], kernelChip: {}, json: false }),
    ConfigError,
    "--line: a chip must have at least one line",
  );
  assertEquals(error.hint, "Add lines with --line SPEC");
});
