/**
 * `gpioagg usb-relay` without a process: its adapters become chips of the kernel
 * double at once, and their messages go nowhere.
 *
 * @module
 */
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { connectUnix } from "../../../ffi/unix_socket.ts";
import { RELAY_COMMAND } from "../../../src/kernel_chip/usb_relay.ts";
import { usbSerials } from "../../../src/kernel_chip/records.ts";
import type { RelayReport } from "../../../src/usbip/relay_process.ts";
import {
  detachAdapter,
  hasAdapter,
  plugAdapter,
} from "../gpio_kernel/host_controller.ts";
import type { GpioKernel } from "../gpio_kernel/kernel.ts";

/** Lines of a CP2112. */
const LINES = 8;
const LOOK_MS = 5;

/** Has this isolate's `Deno.Command` do so for a kernel double. */
export function replaceRelays(kernel: GpioKernel): void {
  const RealCommand = Deno.Command;
  const replacement = function (
    command: string | URL,
    options: Deno.CommandOptions = {},
  ): Deno.Command {
    const { args = [] } = options;
    const at = args.indexOf(RELAY_COMMAND);
    if (at < 0) return new RealCommand(command, options);
    const sockets = args.slice(at + 1);
    const spawn = () => relayProcess(kernel, sockets);
    return { spawn } as unknown as Deno.Command;
  };
  Object.assign(Deno, { Command: replacement });
}

function relayProcess(
  kernel: GpioKernel,
  sockets: readonly string[],
): Deno.ChildProcess {
  const ended = Promise.withResolvers<void>();
  let stdout!: ReadableStreamDefaultController<Uint8Array>;
  const output = new ReadableStream<Uint8Array>({
    start: (controller) => void (stdout = controller),
  });
  const report = (report: RelayReport) =>
    stdout.enqueue(new TextEncoder().encode(`${JSON.stringify(report)}\n`));
  // The service listens before the kernel asks its devices.
  const connections: OwnedFd[] = sockets.map((path) => connectUnix(path));
  // The record's directory has the id as its name.
  const id = sockets[0]!.split("/").at(-2)!;
  const ports = usbSerials({ id, adapters: sockets.length })
    .map((serial) => plugAdapter(kernel, serial, LINES));
  report({ kind: "attached", ports });
  let isOver = false;
  const end = () => {
    if (isOver) return;
    isOver = true;
    clearInterval(timer);
    for (const port of ports) detachAdapter(kernel, port);
    for (const connection of connections) connection.close();
    stdout.close();
    ended.resolve();
  };
  const timer = setInterval(() => {
    if (ports.every((port) => hasAdapter(kernel, port))) return;
    report({ kind: "ended", reason: "the kernel has detached the device" });
    end();
  }, LOOK_MS);
  const process = { stdout: output, status: ended.promise, kill: end };
  return process as unknown as Deno.ChildProcess;
}
