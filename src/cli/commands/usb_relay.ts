/**
 * `gpioagg usb-relay [--attach-fd=N] SOCKET...`: the process between the kernel's USB host
 * controller and a service, which starts it. Not for users.
 *
 * @module
 */
import { endWithParent } from "../../../ffi/process.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { ATTACH_FD } from "../../kernel_chip/usb_relay.ts";
import { relayDevices, type RelayReport } from "../../usbip/relay_process.ts";

/** Runs the command. */
export function main(args: readonly string[]): number {
  const [first = ""] = args;
  const attachFd = first.startsWith(ATTACH_FD)
    ? Number(first.slice(ATTACH_FD.length))
    : undefined;
  const sockets = attachFd === undefined ? args : args.slice(1);
  if (
    sockets.length === 0 || !sockets.every((path) => path.startsWith("/"))
  ) {
    throw new ConfigError("is an internal command of gpioagg", {
      path: "usb-relay",
      hint: "gpioagg kernel create --interface usb makes a chip",
    });
  }
  // Stopped, it would not notice that its maker has ended, and the chip would
  // stay.
  const maker = Deno.ppid;
  endWithParent();
  if (Deno.ppid !== maker) return 0;
  try {
    relayDevices(sockets, report, { attachFd });
    return 0;
  } catch (error) {
    report({ kind: "ended", reason: (error as Error).message });
    return 1;
  }
}

/** Writes at once: the thread does not come back to the event loop. */
function report(report: RelayReport): void {
  const bytes = new TextEncoder().encode(`${JSON.stringify(report)}\n`);
  try {
    for (let at = 0; at < bytes.length;) {
      at += Deno.stdout.writeSync(bytes.subarray(at));
    }
  } catch {
    // The maker is gone, which the relay notices by itself.
  }
}
