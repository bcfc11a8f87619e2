/**
 * Chips whose device file is not called as the kernel calls them: made by an
 * administrator, or mapped into a container under another chip's name.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  AbsentError,
  AmbiguousError,
  Chip,
  chipIdentities,
  findChip,
  findChipByProperties,
  findLines,
  listChips,
  locateLine,
} from "../../src/gpio/mod.ts";
import { ConfigService } from "../environment/config_service.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { shell } from "./shell.ts";
import { LAUNCHER } from "../environment/program.ts";

/** Two chips, whose device files come back to their names at the end. */
async function twoChips() {
  const stack = new AsyncDisposableStack();
  const make = async (label: string, lines: number, name: string) =>
    stack.use(
      await SimChip.create(localFiles, { label, lines, names: { 0: name } }),
    );
  const a = await make("chip-A", 8, "foo");
  const b = await make("chip-B", 4, "bar");
  const restore: string[] = [];
  for (const { path } of [a, b]) {
    const numbers = await shell(`stat -c '%t %T' ${path}`);
    const [major, minor] = numbers.split(" ").map((text) => parseInt(text, 16));
    restore.push(`rm -f ${path}; mknod ${path} c ${major} ${minor}`);
  }
  stack.defer(async () => {
    await shell(`rm -rf /dev/plc-io /dev/plc; ${restore.join("; ")}`);
  });
  return { a, b, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Runs the program on the command line. */
async function gpioagg(...args: string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(
    LAUNCHER,
    { args, stdin: "null" },
  ).output();
  const decoder = new TextDecoder();
  return decoder.decode(stdout) + decoder.decode(stderr);
}

Deno.test("a chip is found behind a device file of any name", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  const { device } = chipIdentities(a.path);
  await shell(`mv ${a.path} /dev/plc-io`);
  assertEquals(listChips(), [b.path, "/dev/plc-io"]);
  assertEquals(findChip("plc-io"), "/dev/plc-io");
  assertEquals(findChip(a.name), "/dev/plc-io");
  assertEquals(findChip(a.name.slice("gpiochip".length)), "/dev/plc-io");
  assertEquals(findChip("chip-A"), "/dev/plc-io");
  assertEquals(findLines("foo")[0]?.chipPath, "/dev/plc-io");
  {
    using chip = Chip.open(a.name);
    assertEquals(chip.label, "chip-A");
  }
  assertEquals(chipIdentities("/dev/plc-io").device, device);
  assertEquals(findChipByProperties({ device }), "/dev/plc-io");
  assertEquals(
    await gpioagg("detect"),
    `${b.name} [chip-B] (4 lines)\n${a.name} [chip-A] (8 lines)\n`,
  );
  assertEquals(await gpioagg("get", "foo"), '"foo"=inactive\n');
  assertEquals(await gpioagg("get", "plc-io/0"), '"plc-io/0"=inactive\n');
  assertEquals(await gpioagg("get", "-c", "plc-io", "foo"), '"foo"=inactive\n');
});

Deno.test("a chip with two device files, also in a directory, is one chip", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  await shell(`mkdir /dev/plc; cp -a ${a.path} /dev/plc/io`);
  assertEquals(listChips(), [a.path, b.path]);
  assertEquals(locateLine({ chip: "/dev/plc/io", offset: 1 }), {
    chipPath: a.path,
    offset: 1,
  });
  await shell(`rm ${a.path}`);
  assertEquals(listChips(), [b.path, "/dev/plc/io"]);
  assertEquals(findLines("foo")[0]?.chipPath, "/dev/plc/io");
});

Deno.test("another chip's device file does not stand in for a chip", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  const ofA = chipIdentities(a.path).device!;
  const ofB = chipIdentities(b.path).device!;
  // As in a container with --device /dev/gpiochip1:/dev/gpiochip0.
  await shell(`mv ${b.path} ${a.path}`);
  assertEquals(chipIdentities(a.path).device, ofB);
  assertEquals(chipIdentities(a.path).name, b.name);
  assertEquals(findChipByProperties({ device: ofA }), undefined);
  assertEquals(findChipByProperties({ device: ofB }), a.path);
  assertEquals(findChip(b.name), a.path);
  assertThrows(
    () => locateLine({ identity: { device: ofA }, offset: 0 }),
    AbsentError,
  );
  const ids = await gpioagg("info", "--ids");
  assert(
    ids.startsWith(`${b.name} [chip-B] (4 lines)\n\tdevice:${ofB}\n`),
    ids,
  );
  const directory = await Deno.makeTempDir();
  const refused = await gpioagg(
    "serve",
    "--socket-path",
    `${directory}/x.sock`,
    "--line",
    `device:${ofA}/0,direction=output,initial=1`,
  );
  assert(
    refused.includes(`the chip with device ${ofA}: there is none`),
    refused,
  );
  assertEquals(await b.level(0), 0);
});

Deno.test("a name that is one chip's file and another's name is refused", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  await shell(`
    mv ${a.path} /dev/plc-io
    mv ${b.path} ${a.path}
    mv /dev/plc-io ${b.path}
  `);
  const error = assertThrows(() => findChip(a.name), AmbiguousError);
  assertEquals(
    error.message,
    `Cannot find the chip ${a.name}: ${a.path} is the device file of ` +
      `${b.name}, and ${a.name} is the kernel's name for ${b.path}; ` +
      `give the path`,
  );
  assertThrows(() => Chip.open(b.name), AmbiguousError);
  using chip = Chip.open(a.path);
  assertEquals(chip.label, "chip-B");
});

Deno.test("serve drives the chip of the device number", async () => {
  await using chips = await twoChips();
  const { a, b } = chips;
  const ofA = chipIdentities(a.path).device;
  await shell(`mv ${a.path} /dev/plc-io`);
  await using _service = await ConfigService.start((directory) => `
aggregators:
  a:
    vhost-user: ${directory}/a.sock
    defaults: { direction: output, initial: 1 }
    lines:
      - /dev/plc-io/1
      - ${a.name}/2
      - device:${ofA}/3
      - plc-io/4
      - foo
      - { chip: plc-io, offset: 5 }
`);
  for (const offset of [0, 1, 2, 3, 4, 5]) {
    assertEquals(await a.level(offset), 1);
  }
  assertEquals(await b.level(1), 0);
});
