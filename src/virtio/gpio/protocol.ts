/**
 * The messages and constants of the virtio-gpio device.
 *
 * **Source**: virtio 1.3, section 5.18 "GPIO Device" (device id 41).
 *
 * @module
 */
import {
  bytes,
  layout,
  LITTLE_ENDIAN,
  U16,
  U32,
  U8,
} from "../../../ffi/layout.ts";

export { Direction } from "../../line/port.ts";

/** Index of the queue that carries requests and their responses. */
export const REQUEST_QUEUE = 0;
/** Index of the queue whose buffers come back as interrupts (only with F_IRQ). */
export const EVENT_QUEUE = 1;

/** `struct virtio_gpio_config`: the configuration space, read-only for drivers. */
export const GPIO_CONFIG = layout("virtio_gpio_config", 8, [
  ["ngpio", U16], // number of lines
  ["padding", bytes(2)], // zero
  ["gpio_names_size", U32], // bytes of the names block; 0 if no line has a name
]);

/** Encodes the configuration space of a device; `namesSize` is in bytes. */
export function encodeConfig(lineCount: number, namesSize: number): Uint8Array {
  const config = new Uint8Array(GPIO_CONFIG.size);
  const view = new DataView(config.buffer);
  view.setUint16(GPIO_CONFIG.at.ngpio, lineCount, LITTLE_ENDIAN);
  view.setUint32(GPIO_CONFIG.at.gpio_names_size, namesSize, LITTLE_ENDIAN);
  return config;
}

/** `struct virtio_gpio_request`: what the driver sends on the request queue. */
export const GPIO_REQUEST = layout("virtio_gpio_request", 8, [
  ["type", U16], // a MessageType
  ["gpio", U16], // lineNumber
  ["value", U32],
]);

/** `struct virtio_gpio_response`: the answer to everything but line names. */
export const GPIO_RESPONSE = layout("virtio_gpio_response", 2, [
  ["status", U8], // a Status
  ["value", U8],
]);

/** `struct virtio_gpio_irq_request`: the readable part of an event buffer. */
export const GPIO_IRQ_REQUEST = layout("virtio_gpio_irq_request", 2, [
  ["gpio", U16], // lineNumber
]);

/** `struct virtio_gpio_irq_response`: the writable part of an event buffer. */
export const GPIO_IRQ_RESPONSE = layout("virtio_gpio_irq_response", 1, [
  ["status", U8], // an EventStatus
]);

/** Kind of a request (`VIRTIO_GPIO_MSG_*`). */
export const MessageType = {
  GetLineNames: 1,
  GetDirection: 2,
  SetDirection: 3,
  GetValue: 4,
  SetValue: 5,
  SetIrqType: 6,
} as const;
/** One of the {@linkcode MessageType} numbers. */
export type MessageType = typeof MessageType[keyof typeof MessageType];

/** One more than the largest {@linkcode MessageType}. */
export const MESSAGE_TYPE_COUNT = 7;

/** Result of a request (`VIRTIO_GPIO_STATUS_*`). */
export const Status = { Ok: 0, Err: 1 } as const;
/** One of the {@linkcode Status} numbers. */
export type Status = typeof Status[keyof typeof Status];

/** Why an event buffer came back (`VIRTIO_GPIO_IRQ_STATUS_*`). */
export const EventStatus = {
  /** No interrupt: the buffer is merely given back. */
  Invalid: 0,
  /** The line's interrupt. */
  Valid: 1,
} as const;
/** One of the {@linkcode EventStatus} numbers. */
export type EventStatus = typeof EventStatus[keyof typeof EventStatus];

/** When a line interrupts (`VIRTIO_GPIO_IRQ_TYPE_*`). */
export const IrqType = {
  None: 0,
  EdgeRising: 1,
  EdgeFalling: 2,
  EdgeBoth: 3,
  LevelHigh: 4,
  LevelLow: 8,
} as const;
/** One of the {@linkcode IrqType} numbers. */
export type IrqType = typeof IrqType[keyof typeof IrqType];
