/** Kernel chips through sysfs, on the double's gpio-aggregator. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { RECORDS_DIRECTORY } from "../../src/kernel_chip/records.ts";
import { KernelChip } from "../../src/kernel_chip/kernel_chip.ts";
import { KernelChips } from "../../src/service/reactor/kernel_chips.ts";
import { parseLineSpec } from "../../src/config/spec/line_spec.ts";
import { GpioKernel } from "../doubles/gpio_kernel/kernel.ts";
import { gpioagg } from "../doubles/program/captured.ts";

/** A kernel with the driver, and a directory of records. */
function rig() {
  const stack = new DisposableStack();
  const kernel = stack.use(GpioKernel.install());
  kernel.addAggregatorDriver();
  const directory = Deno.makeTempDirSync();
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const kernelCommand = (...args: string[]) =>
    gpioagg(["kernel", ...args, "--directory", directory]);
  return {
    chip: kernel.addChip({ lines: 4, label: "soc", names: { 1: "KEY" } }),
    records: `${directory}/${RECORDS_DIRECTORY}`,
    run: kernelCommand,
    list: async () =>
      JSON.parse((await kernelCommand("list", "--json")).stdout).chips,
    create: (spec: string, name = "panel") =>
      KernelChip.create({
        name,
        lines: parseLineSpec(spec),
        runtimeDirectory: `${directory}/${RECORDS_DIRECTORY}`,
      }),
    [Symbol.dispose]: () => stack.dispose(),
  };
}

Deno.test("a kernel chip is there while its maker holds it", async () => {
  using it = rig();
  assertEquals(await it.list(), []);
  {
    await using made = await it.create("soc/0-1,3");
    assertEquals([made.path, made.label, made.isPresent], [
      "/dev/gpiochip1",
      "gpio-aggregator.0",
      true,
    ]);
    const [chip] = await it.list();
    assertEquals([chip.name, chip.state, chip.path], [
      "panel",
      "held",
      "/dev/gpiochip1",
    ]);
    assertEquals(chip.lines.map(({ offset }: { offset: number }) => offset), [
      0,
      1,
      3,
    ]);
    assertMatch((await it.run("list")).stdout, /panel/);
    assertMatch((await gpioagg(["detect"])).stdout, /gpio-aggregator.0/);
    assertMatch(
      (await gpioagg(["get", "--chip", "soc", "0"])).stderr,
      /held by "gpio-aggregator.0"/,
    );
    await assertRejects(() => it.create("soc/2"), Error, "panel");
  }
  assertEquals(await it.list(), []);
  assertEquals((await gpioagg(["get", "--chip", "soc", "0"])).code, 0);
  assertMatch((await it.run("gc")).stdout, /no chip was left over/);
});

Deno.test("a kernel chip of lines that cannot be requested leaves nothing", async () => {
  using it = rig();
  for (
    const [spec, reason] of [
      ["soc/9", "9"],
      ["gone/0", "gone"],
      ["soc/0,as=DOOR", "cannot name a line"],
    ] as const
  ) {
    await assertRejects(() => it.create(spec), Error, reason);
  }
  await using _made = await it.create("soc/0");
  await assertRejects(() => it.create("soc/0", "other"), Error);
  assertEquals((await it.list()).length, 1);
});

Deno.test("KernelChips makes all chips or none, and removes what it made", async () => {
  using it = rig();
  const gone: string[] = [];
  await using chips = new KernelChips({
    gone: (name) => void gone.push(name),
    lost: (name) => void gone.push(name),
  }, it.records);
  const specify = (name: string, spec: string) => ({
    name,
    kernelChip: { access: { mode: 0o660 } },
    lines: [...parseLineSpec(spec)],
  });
  const added = await chips.add([specify("a", "soc/0"), specify("b", "soc/1")]);
  assertEquals(added.map(({ name }) => name), ["a", "b"]);
  assertEquals(chips.describe("b").map(({ name }) => name), ["b"]);
  assertEquals(chips.count().map((one) => one.isChipPresent), [true, true]);
  await assertRejects(() =>
    chips.add([specify("c", "soc/2"), specify("d", "soc/0")])
  );
  assertEquals((await it.list()).length, 2);
  assertEquals((await chips.remove("a"))?.name, "a");
  assertEquals(await chips.remove("a"), undefined);
  assertEquals((await it.list()).length, 1);
});
