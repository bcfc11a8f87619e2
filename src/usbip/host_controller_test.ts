import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { O_RDONLY, O_WRONLY, openFile } from "../../ffi/files.ts";
import { addHostController } from "../../tests/doubles/gpio_kernel/host_controller.ts";
import { GpioKernel } from "../../tests/doubles/gpio_kernel/kernel.ts";
import {
  attach,
  attachFdProblem,
  busIdAt,
  findChip,
  freePorts,
  hasDevice,
  HOST_CONTROLLER,
  readPorts,
  readSerial,
  roomProblem,
} from "./host_controller.ts";

const HEADLINE = "hub port sta spd dev      sockfd local_busid\n";
const row = (port: number, state: number, busId = "0-0") =>
  `hs  ${
    String(port).padStart(4, "0")
  } 00${state} 000 00000000 000000 ${busId}\n`;

/** Makes a directory with files, by path. */
async function directoryWith(
  files: Readonly<Record<string, string>>,
): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir();
  for (const [name, text] of Object.entries(files)) {
    const file = `${path}/${name}`;
    await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
    await Deno.writeTextFile(file, text);
  }
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

Deno.test("free ports come from the least used controllers first", async () => {
  await using directory = await directoryWith({
    status: HEADLINE + row(0, 6, "1-1") + row(1, 4) +
      "ss  0015 004 000 00000000 000000 0-0\n",
    "status.1": HEADLINE + row(30, 4) + row(31, 4),
  });
  const ports = readPorts(directory.path);
  assertEquals(ports.map(({ port }) => port), [0, 1, 30, 31]);
  assertEquals(freePorts(ports).map(({ port }) => port), [30, 31, 1]);
  assertEquals(busIdAt(ports, 0), "1-1");
  assertEquals(busIdAt(ports, 1), undefined);
});

Deno.test("without a free port nothing is attached", async () => {
  await using directory = await directoryWith({
    status: HEADLINE + row(0, 6, "1-1"),
    attach: "",
  });
  assertThrows(() => attach(3, directory.path), Error, "is free");
  assertEquals(await Deno.readTextFile(`${directory.path}/attach`), "");
});

Deno.test("a device is attached at high speed, to the first free port", async () => {
  await using directory = await directoryWith({
    status: HEADLINE + row(0, 6, "1-1") + row(1, 4),
    attach: "",
  });
  assertEquals(attach(9, directory.path).port, 1);
  assertEquals(await Deno.readTextFile(`${directory.path}/attach`), "1 9 2 3");
});

Deno.test("an inherited descriptor is the controller's attach, open for writing", () => {
  using kernel = GpioKernel.install();
  addHostController(kernel.root, 2);
  using file = openFile(`${HOST_CONTROLLER}/attach`, O_WRONLY);
  assertEquals(attachFdProblem(file.fd), undefined);
  assertEquals(attach(9, undefined, file.fd).port, 0);
  // The file is the same for every device.
  assertEquals(attach(9, undefined, file.fd).port, 1);
  using readable = openFile(`${HOST_CONTROLLER}/attach`, O_RDONLY);
  assertEquals(attachFdProblem(readable.fd), "is not open for writing");
  using other = openFile(`${HOST_CONTROLLER}/detach`, O_WRONLY);
  assertMatch(
    attachFdProblem(other.fd)!,
    /^is .*\/detach, not \/sys\/.*\/vhci_hcd\.0\/attach$/,
  );
  assertEquals(
    attachFdProblem(1_000_000),
    "is not an open file of this process",
  );
});

Deno.test("a chip is found below its USB device", async () => {
  await using directory = await directoryWith({
    "1-1/serial": "plc0\n",
    "1-1/1-1:1.0/0003:10C4:EA90.0001/gpiochip4/dev": "254:4\n",
    "1-1/1-1:1.0/0003:10C4:EA90.0001/gpio/gpiochip512/label": "cp2112\n",
  });
  assertEquals(findChip("1-1", directory.path), {
    name: "gpiochip4",
    device: "254:4",
  });
  assertEquals(readSerial("1-1", directory.path), "plc0");
  assertEquals(findChip("2-1", directory.path), undefined);
  assertEquals(readSerial("2-1", directory.path), undefined);
});

Deno.test("an adapter that is not known to its driver yet counts as hidraw", async () => {
  const text = HEADLINE + row(0, 6, "1-1") + row(1, 5) + row(2, 6, "1-12") +
    row(3, 4);
  await using directory = await directoryWith({ status: text, "hidraw/x": "" });
  const hidraw = `${directory.path}/hidraw`;
  await Deno.remove(`${hidraw}/x`);
  const ports = readPorts(directory.path);
  for (let i = 0; i < 50; i++) {
    const device = i === 0 ? "vhci_hcd.0/usb1/1-1/1-1:1.0" : `usb9/9-${i}`;
    await Deno.symlink(
      `../../devices/platform/${device}/hidraw/hidraw${i}`,
      `${hidraw}/hidraw${i}`,
    );
  }
  // 50 are there, two are coming, and eight are left to others.
  assertEquals(roomProblem(4, ports, hidraw), undefined);
  assertMatch(roomProblem(5, ports, hidraw)!, /room for 64 hidraw devices/);
  assertEquals(roomProblem(13, ports, `${hidraw}/none`), undefined);
});

Deno.test("the kernel's hubs get no more than 16 devices", async () => {
  await using directory = await directoryWith({
    "status": HEADLINE + row(0, 6, "1-1") + row(1, 5) + row(2, 4),
    "status.1": HEADLINE + row(30, 6, "3-1"),
  });
  const ports = readPorts(directory.path);
  const problem = (adapters: number) =>
    roomProblem(adapters, ports, `${directory.path}/hidraw`);
  assertEquals(problem(13), undefined);
  assertEquals(
    problem(14),
    "The kernel's virtual USB hubs have 3 devices; gpioagg attaches adapters " +
      "until they have 16",
  );
});

Deno.test("nothing is attached where no hidraw device is left", () => {
  using kernel = GpioKernel.install();
  addHostController(kernel.root);
  const attached = `${kernel.root}/sys/class/hidraw`;
  for (let i = 0; i < 56; i++) Deno.writeTextFileSync(`${attached}/${i}`, "");
  assertThrows(() => attach(3), Error, "too few are left");
  Deno.removeSync(`${attached}/0`);
  assertEquals(attach(3).port, 0);
  // That one has no hidraw device yet.
  assertThrows(() => attach(3), Error, "too few are left");
});

Deno.test("devices are found by their serial numbers", async () => {
  await using directory = await directoryWith({
    "1-1/serial": "plc0.1\n",
    "1-0:1.0/class": "09",
  });
  const { path } = directory;
  assertEquals(hasDevice(["plc0.0", "plc0.1"], path), true);
  assertEquals(hasDevice(["plc0"], path), false);
  assertEquals(hasDevice(["plc0"], `${path}/none`), false);
});
