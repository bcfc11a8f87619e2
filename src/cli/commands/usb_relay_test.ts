/** `gpioagg usb-relay` between a socket and the kernel double. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { listenUnix } from "../../../ffi/unix_socket.ts";
import { addHostController } from "../../../tests/doubles/gpio_kernel/host_controller.ts";
import { GpioKernel } from "../../../tests/doubles/gpio_kernel/kernel.ts";
import { captured, gpioagg } from "../../../tests/doubles/program/captured.ts";
import type { RelayReport } from "../../usbip/relay_process.ts";
import { main } from "./usb_relay.ts";

/** A kernel with this number of free ports, and sockets of adapters. */
function rig(ports: number) {
  const stack = new DisposableStack();
  const kernel = stack.use(GpioKernel.install());
  addHostController(kernel.root, ports);
  const directory = Deno.makeTempDirSync();
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const sockets = ["usb.sock", "usb.sock.1"].map((name) => {
    const path = `${directory}/${name}`;
    stack.use(listenUnix(path));
    return path;
  });
  return { directory, sockets, [Symbol.dispose]: () => stack.dispose() };
}

/** Reports as the maker of the chip reads them. */
function reports(stdout: string): RelayReport[] {
  return stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line));
}

Deno.test("usb-relay is for gpioagg itself, with absolute paths", async () => {
  for (const args of [[], ["usb.sock"], ["/run/usb.sock", "usb.sock"]]) {
    const { code, stdout, stderr } = await gpioagg(["usb-relay", ...args]);
    assertEquals([code, stdout], [2, ""], args.join(" "));
    assertStringIncludes(stderr, "usb-relay: is an internal command");
    assertStringIncludes(stderr, "gpioagg kernel create --interface usb makes");
  }
});

// The double takes adapters and keeps no connection, so each ends at once.
Deno.test("usb-relay reports the ports of its adapters, then an end", async () => {
  using it = rig(3);
  const { code, stdout, stderr } = await gpioagg(["usb-relay", ...it.sockets]);
  assertEquals([code, stderr], [0, ""]);
  const [first, second] = reports(stdout);
  assertEquals([first, second], [
    { kind: "attached", ports: [0, 1] },
    { kind: "ended", reason: "the kernel has detached the device" },
  ]);
});

Deno.test("usb-relay reports why the kernel takes no adapter", async () => {
  using it = rig(1);
  const { code, stdout } = await gpioagg(["usb-relay", ...it.sockets]);
  assertEquals(code, 1);
  assertEquals(reports(stdout), [{
    kind: "ended",
    reason: "No port of the kernel's virtual USB hubs is free",
  }]);
});

Deno.test("usb-relay reports a service that is not there", async () => {
  using it = rig(1);
  const path = `${it.directory}/none.sock`;
  const { code, stdout } = await gpioagg(["usb-relay", path]);
  assertEquals(code, 1);
  const [report, ...others] = reports(stdout);
  assertEquals(others, []);
  assertMatch(report!.kind === "ended" ? report!.reason : "", /ENOENT/);
});

Deno.test("a report is whole, also where a pipe takes it bit by bit", async () => {
  using it = rig(3);
  const { code, stdout } = await captured(() => {
    const { writeSync } = Deno.stdout;
    Deno.stdout.writeSync = (bytes) => writeSync(bytes.subarray(0, 3));
    return main(it.sockets.slice(1));
  });
  assertEquals(code, 0);
  assertEquals(reports(stdout).map(({ kind }) => kind), ["attached", "ended"]);
});

Deno.test("usb-relay ends in order, though its maker hears nothing", async () => {
  using it = rig(3);
  const { code, stderr } = await captured(() => {
    Deno.stdout.writeSync = () => {
      throw new Deno.errors.BrokenPipe();
    };
    return main(it.sockets);
  });
  assertEquals([code, stderr], [0, ""]);
});
