/**
 * Adapters that an aggregator is presented as: one LJCA, or as many CP2112 as
 * its lines need, each with a socket of its own.
 *
 * @module
 */
import type { LineOperation } from "../line/port.ts";
import type { EventLoop } from "../reactor/event_loop.ts";
import type {
  GpioUsbDevice,
  UsbDeviceOptions,
  UsbLine,
} from "../usb/core/gpio_usb_device.ts";
import { Cp2112Device } from "../usb/cp2112/cp2112_device.ts";
import { LINES_PER_ADAPTER } from "../usb/cp2112/protocol.ts";
import { LjcaDevice } from "../usb/ljca/ljca_device.ts";

/** Models of adapters. */
export type AdapterModel = "ljca" | "cp2112";

/** One adapter of an aggregator, with the lines that it has. */
export interface Adapter {
  readonly device: GpioUsbDevice;
  /** Number of its first line. */
  readonly firstLine: number;
  readonly lineCount: number;
  /** Name of it for people, where there are several: `adapter 2`. */
  readonly title: string;
}

/** Receiver of what guests do with the adapters. */
export interface AdapterEvents {
  began(adapter: Adapter): void;
  gone(adapter: Adapter): void;
  answered(
    lineNumber: number,
    operation: LineOperation,
    isOk: boolean,
    since: number,
  ): void;
  refused(lineNumber: number): void;
}

/**
 * Makes the adapters of an aggregator, in the order of its lines.
 *
 * @throws {RangeError} If an LJCA would have more than 64 lines.
 */
export function makeAdapters(
  model: AdapterModel,
  name: string,
  lines: readonly UsbLine[],
  loop: EventLoop,
  events: AdapterEvents,
): Adapter[] {
  const Device = model === "ljca" ? LjcaDevice : Cp2112Device;
  const size = model === "ljca" ? lines.length : LINES_PER_ADAPTER;
  const count = Math.ceil(lines.length / size);
  return Array.from({ length: count }, (_, index) => {
    const firstLine = index * size;
    const own = lines.slice(firstLine, firstLine + size);
    const options: UsbDeviceOptions = {
      lines: own,
      serial: count === 1 ? name : `${name}.${index}`,
      now: () => performance.now(),
      after: (ms, onElapsed) => loop.after(ms, onElapsed),
      events: {
        began: () => events.began(adapter),
        gone: () => events.gone(adapter),
        answered: (line, operation, isOk, since) =>
          events.answered(firstLine + line, operation, isOk, since),
        refused: (line) => events.refused(firstLine + line),
      },
    };
    const adapter: Adapter = {
      device: new Device(options),
      firstLine,
      lineCount: own.length,
      title: count === 1 ? "" : `adapter ${index + 1}`,
    };
    return adapter;
  });
}
