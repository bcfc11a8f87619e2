import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { O_RDONLY, O_WRONLY, openFile } from "../../ffi/files.ts";
import { addHostController } from "../../tests/doubles/gpio_kernel/host_controller.ts";
import { GpioKernel } from "../../tests/doubles/gpio_kernel/kernel.ts";
import {
  attach,
  attachFdProblem,
  busIdAt,
  chipOf,
  freePorts,
  HOST_CONTROLLER,
  readPorts,
  serialOf,
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
  assertEquals(chipOf("1-1", directory.path), {
    name: "gpiochip4",
    device: "254:4",
  });
  assertEquals(serialOf("1-1", directory.path), "plc0");
  assertEquals(chipOf("2-1", directory.path), undefined);
  assertEquals(serialOf("2-1", directory.path), undefined);
});
