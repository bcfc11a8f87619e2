/**
 * Adapters that an aggregator is presented as: one LJCA, or as many CP2112 as
 * its lines need, each with a socket of its own.
 *
 * @module
 */
import type { LineOperation } from "../line/port.ts";
import type { EventLoop } from "../reactor/event_loop.ts";
import {
  type AdapterLines,
  splitLines,
  type UsbModel,
} from "../usb/core/models.ts";
import type {
  GpioUsbDevice,
  UsbDeviceOptions,
  UsbLine,
} from "../usb/core/gpio_usb_device.ts";
import { Cp2112Device } from "../usb/cp2112/cp2112_device.ts";
import { LjcaDevice } from "../usb/ljca/ljca_device.ts";

/** One adapter of an aggregator, with the lines that it has. */
export interface Adapter extends AdapterLines {
  readonly device: GpioUsbDevice;
  /** Name of it for people, where there are several: `adapter 2`. */
  readonly title: string;
}

/** Receiver of what guests do with the adapters. */
interface AdapterEvents {
  began(adapter: Adapter, isResumed: boolean): void;
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
 */
export function makeAdapters(
  model: UsbModel,
  name: string,
  lines: readonly UsbLine[],
  loop: EventLoop,
  events: AdapterEvents,
  isHighSpeed = false,
): Adapter[] {
  const Device = model === "ljca" ? LjcaDevice : Cp2112Device;
  return splitLines(model, lines.length).map((part, index, { length }) => {
    const { firstLine, lineCount } = part;
    const options: UsbDeviceOptions = {
      lines: lines.slice(firstLine, firstLine + lineCount),
      serial: length === 1 ? name : `${name}.${index}`,
      isHighSpeed,
      now: () => performance.now(),
      after: (ms, onElapsed) => loop.after(ms, onElapsed),
      events: {
        began: (isResumed) => events.began(adapter, isResumed),
        gone: () => events.gone(adapter),
        answered: (line, operation, isOk, since) =>
          events.answered(firstLine + line, operation, isOk, since),
        refused: (line) => events.refused(firstLine + line),
      },
    };
    const adapter: Adapter = {
      ...part,
      device: new Device(options),
      title: length === 1 ? "" : `adapter ${index + 1}`,
    };
    return adapter;
  });
}
