import { assert, assertEquals, assertThrows } from "@std/assert";
import { UntrustedPathError } from "../../ffi/trusted_path.ts";
import {
  addHostController,
  hasAdapter,
  plugAdapter,
} from "../../tests/doubles/gpio_kernel/host_controller.ts";
import { GpioKernel } from "../../tests/doubles/gpio_kernel/kernel.ts";
import {
  beginHold,
  detachOwnAdapters,
  endHold,
  HOLD_S,
  isHeld,
} from "./suspend.ts";

async function withDirectory(
  use: (directory: string) => Promise<void> | void,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a hold is over when it is ended, or after its time", () =>
  withDirectory((top) => {
    const directory = `${top}/kernel-chips`;
    let now = 1000;
    const clock = () => now;
    assertEquals(isHeld(directory, clock), false);
    endHold(directory);
    beginHold(directory, clock);
    assert(isHeld(directory, clock));
    endHold(directory);
    assertEquals(isHeld(directory, clock), false);
    beginHold(directory, clock);
    now += HOLD_S - 1;
    assert(isHeld(directory, clock));
    // What was to end it never ran.
    now += 1;
    assertEquals(isHeld(directory, clock), false);
    // Of an earlier boot, whatever directory it is in.
    now = 10;
    assertEquals(isHeld(directory, clock), false);
  }));

Deno.test("a hold begins now, on the machine's own clock", () =>
  withDirectory((directory) => {
    beginHold(directory);
    assert(isHeld(directory));
  }));

Deno.test("what is no mark of gpioagg's holds nothing", () =>
  withDirectory(async (directory) => {
    const mark = `${directory}/suspend`;
    const clock = () => 1000;
    for (const text of ["", "soon", "1e999", "x".repeat(100_000)]) {
      await Deno.writeTextFile(mark, text);
      assertEquals(isHeld(directory, clock), false, text.slice(0, 9));
    }
    await Deno.remove(mark);
    await Deno.symlink("/proc/uptime", mark);
    assertEquals(isHeld(directory, clock), false);
    await Deno.remove(mark);
    await Deno.mkdir(mark);
    assertEquals(isHeld(directory, clock), false);
    await Deno.remove(mark);
    // Others can write there.
    await Deno.writeTextFile(mark, "990");
    assert(isHeld(directory, clock));
    await Deno.chmod(directory, 0o777);
    assertEquals(isHeld(directory, clock), false);
    assertThrows(() => beginHold(directory, clock), UntrustedPathError);
  }));

Deno.test("adapters of gpioagg's are detached, those of any maker, and no other device", async () => {
  using kernel = GpioKernel.install();
  addHostController(kernel.root);
  assertEquals(await detachOwnAdapters(), []);
  const own = plugAdapter(kernel, "plc0.0123456789abcdef", 8);
  const foreign = plugAdapter(kernel, "4711", 8, "Silicon Labs");
  const other = plugAdapter(kernel, "agg0.fedcba9876543210.1", 8);
  assertEquals(await detachOwnAdapters(), [
    { port: own, serial: "plc0.0123456789abcdef" },
    { port: other, serial: "agg0.fedcba9876543210.1" },
  ]);
  assertEquals(
    [own, foreign, other].map((port) => hasAdapter(kernel, port)),
    [false, true, false],
  );
  assertEquals(await detachOwnAdapters(), []);
});

Deno.test("a host without the controllers has nothing to detach", async () => {
  using _kernel = GpioKernel.install();
  assertEquals(await detachOwnAdapters(), []);
});
