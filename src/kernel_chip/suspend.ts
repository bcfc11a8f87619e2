/**
 * Suspend of the host, which the kernel refuses while a program's USB adapters
 * are attached: they are detached before it, and attached again after it.
 *
 * Makers of chips keep a mark in the machine's runtime directory in mind. It
 * holds for a limited time, so that they go on if nothing removes it.
 *
 * @module
 */
import { unlinkAt } from "../../ffi/directory.ts";
import { fdStatus } from "../../ffi/file_status.ts";
import { O_RDONLY, readOpenFile, readSmallFile } from "../../ffi/files.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { openRuntimeDirectory } from "../../ffi/runtime_directory.ts";
import { effectiveUserId } from "../../ffi/sysfs.ts";
import { openRegularAt, UntrustedPathError } from "../../ffi/trusted_path.ts";
import { replaceFileAt } from "../../ffi/whole_file.ts";
import { waitUntil } from "../async/wait.ts";
import { isOwnAdapter } from "../gpio/own_adapter.ts";
import {
  detach,
  HOST_CONTROLLER,
  isPortFree,
  type Port,
  readPorts,
  readSerial,
  USB_DEVICES,
} from "../usbip/host_controller.ts";
import { MACHINE_RECORDS } from "./records.ts";

/**
 * Time for which makers keep from attaching: what suspends a machine has that
 * long after the adapters were detached. Time in which it is suspended counts.
 * **Units**: seconds.
 */
export const HOLD_S = 60;

/** File of a directory of records: the time at which the hold began. */
const MARK = "suspend";
const MAX_MARK_BYTES = 64;
/** Limit of the detachment, and of adapters that have no address yet. */
const DETACH_LIMIT_MS = 5000;

/** An adapter that was detached. */
interface DetachedAdapter {
  readonly port: number;
  /** Name of its chip and a suffix, as the kernel shows it. */
  readonly serial: string;
}

/** Seconds since the machine's start, with those in which it was suspended. */
function uptime(): number {
  return parseFloat(readSmallFile("/proc/uptime") ?? "");
}

/**
 * Has makers attach no adapter for {@linkcode HOLD_S}, or until
 * {@linkcode endHold}.
 *
 * @param directory Directory of records; default: the machine's.
 * @throws {OsError} EACCES, EROFS, …
 * @throws {UntrustedPathError} If others may write there.
 */
export function beginHold(
  directory: string = MACHINE_RECORDS,
  now: () => number = uptime,
): void {
  using opened = openRuntimeDirectory(directory, { make: true })!;
  replaceFileAt(opened, MARK, `${now()}\n`, 0o644);
}

/**
 * Lets makers attach adapters again; does nothing if they may.
 *
 * @throws {OsError} EACCES, EROFS, …
 */
export function endHold(directory: string = MACHINE_RECORDS): void {
  using opened = openRuntimeDirectory(directory);
  if (opened !== undefined) unlinkAt(opened, MARK);
}

/**
 * Returns true while makers must attach no adapter. What cannot be read, or is
 * another user's, holds nothing.
 */
export function isHeld(
  directory: string = MACHINE_RECORDS,
  now: () => number = uptime,
): boolean {
  try {
    using opened = openRuntimeDirectory(directory);
    using file = opened && openRegularAt(opened, MARK, O_RDONLY);
    if (file === undefined) return false;
    const { uid } = fdStatus(file.fd);
    if (uid !== 0 && uid !== effectiveUserId()) return false;
    const since = now() - parseFloat(readOpenFile(file, MAX_MARK_BYTES) ?? "");
    return since >= 0 && since < HOLD_S;
  } catch (error) {
    if (error instanceof UntrustedPathError || isOsError(error)) return false;
    throw error;
  }
}

/**
 * Detaches all adapters of gpioagg's, in containers too, and waits until the
 * kernel has done so.
 *
 * @param controller The host controller's directory; tests bring their own.
 * @param devices Directory of USB devices; likewise.
 * @throws {OsError} EACCES, EROFS.
 * @throws {Error} If a port is still in use after 5 s.
 */
export async function detachOwnAdapters(
  controller: string = HOST_CONTROLLER,
  devices: string = USB_DEVICES,
): Promise<DetachedAdapter[]> {
  const detached: DetachedAdapter[] = [];
  let busy: Port[] = [];
  const isDone = await waitUntil(() => {
    busy = readPorts(controller).filter((port) =>
      !isPortFree(port) &&
      // One without an address may become one of gpioagg's.
      (port.busId === "0-0" || isOwnAdapter(`${devices}/${port.busId}`))
    );
    for (const { port, busId } of busy) {
      const serial = readSerial(busId, devices);
      if (
        serial === undefined || detached.some((one) => one.port === port)
      ) continue;
      detach(port, controller);
      detached.push({ port, serial });
    }
    return busy.length === 0;
  }, DETACH_LIMIT_MS);
  if (isDone) return detached;
  throw new Error(
    `The kernel's virtual USB ports ${
      busy.map(({ port }) => port).join(", ")
    } are in use after ${DETACH_LIMIT_MS / 1000} s: it refuses to suspend. ` +
      `/sys/devices/platform/vhci_hcd.0/status shows them`,
  );
}
