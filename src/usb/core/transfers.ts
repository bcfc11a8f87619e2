/**
 * The interface between a USB device and the wire that carries its transfers
 * to the host: usbredir, or the kernel's virtual host controller.
 *
 * The wire names each transfer by a token, a number of its own choice. What a
 * device answers comes back with it, from inside the call or later.
 *
 * @module
 */

import type { Saved, SavedReader } from "./saved_state.ts";

/** Outcome of a transfer. */
export const TransferStatus = {
  Success: 0,
  /** It was cancelled by the host. */
  Cancelled: 1,
  /** It cannot be: no such endpoint or interface. */
  Invalid: 2,
  /** There is no room for it. */
  IoError: 3,
  /** The device refuses it. */
  Stall: 4,
  /** The host's buffer is too small for what the device has. */
  Babble: 6,
} as const;
/** One of the {@linkcode TransferStatus} numbers. */
export type TransferStatus = typeof TransferStatus[keyof typeof TransferStatus];

/** Kind of an endpoint, in the numbers of its descriptor. */
export const EndpointType = {
  Control: 0,
  Isochronous: 1,
  Bulk: 2,
  Interrupt: 3,
} as const;
/** One of the {@linkcode EndpointType} numbers. */
export type EndpointType = typeof EndpointType[keyof typeof EndpointType];

/** Bit of an endpoint's address, and of a request's type: to the host. */
export const DIRECTION_IN = 0x80;

/** An endpoint beside the control endpoint. */
export interface Endpoint {
  /** Its number, with {@linkcode DIRECTION_IN}. */
  readonly address: number;
  readonly type: EndpointType;
  readonly maxPacketSize: number;
  /** Interval of an interrupt endpoint; 0 for others. */
  readonly interval: number;
}

/** An interface with one setting. */
export interface Interface {
  /** Class, subclass and protocol. */
  readonly code: readonly [number, number, number];
  readonly endpoints: readonly Endpoint[];
  /** Descriptors of its class, between its own and those of the endpoints. */
  readonly classDescriptor?: Uint8Array;
}

/** A device as a host finds it. */
export interface UsbDescription {
  readonly vendor: number;
  readonly product: number;
  /** Release of the device, in binary-coded decimal. */
  readonly release: number;
  readonly interfaces: readonly Interface[];
  /** Manufacturer, product and serial number, in this order. */
  readonly strings: readonly string[];
}

/** The host's side of a device. */
export interface UsbHost {
  /**
   * A transfer is done, once for each token. `data` is lent for the call; of a
   * transfer to the device, `length` is what was taken.
   *
   * The device is in the middle of its work. From inside the call it may be
   * asked for another transfer from an endpoint (`in`), and nothing else: above
   * all it is not reset, not configured and not detached.
   */
  done(
    token: number,
    status: TransferStatus,
    data: Uint8Array,
    length: number,
  ): void;
  /** A line has changed, which may have changed the device. */
  changed?(): void;
}

/** A USB device. Everything comes from one host at a time. */
export interface UsbDevice {
  readonly description: UsbDescription;
  /** A host is there; what it does begins with a device that is not in use. */
  attach(host: UsbHost): void;
  /** The host is gone, with everything that it had under way. */
  detach(): void;
  /** The port is reset: everything under way is cancelled without an answer. */
  reset(): void;
  /** Begins a control transfer; `data` is what it brings, lent for the call. */
  control(token: number, setup: Setup, data: Uint8Array): void;
  /** Begins a transfer to an endpoint; `data` is lent for the call. */
  out(token: number, endpoint: number, data: Uint8Array): void;
  /** Begins a transfer of at most `length` bytes from an endpoint. */
  in(token: number, endpoint: number, length: number): void;
  /**
   * Ends a transfer that is under way: it is done with the status `Cancelled`.
   *
   * @returns False if it has completed already.
   */
  cancel(token: number): boolean;
  /** The configuration in force; 0: none. */
  readonly configuration: number;
  /** Returns the state for the next process; absent: it cannot go on there. */
  save?(): Saved;
  /**
   * Goes on with the attached host as an earlier process has left it. `onFailed` is
   * called, also later, if a line cannot: the host is to be given up then.
   *
   * @throws {RangeError} If that is not the state of this device.
   */
  restore?(saved: SavedReader, onFailed: () => void): void;
  /** Chooses the configuration. @returns False if there is none of that number. */
  configure(configuration: number): boolean;
}

/** Setup packet of a control transfer. */
export interface Setup {
  requestType: number;
  request: number;
  value: number;
  index: number;
  /** Bytes that the host sends, or takes at most. */
  length: number;
}

/** Nothing, as the data of a transfer. */
export const NO_DATA: Uint8Array = new Uint8Array(0);
