/**
 * The device's end of a wire, whichever protocol it has: its buffers, and when
 * its peer is given up.
 *
 * @module
 */
import type { Setup, UsbDevice } from "../usb/core/transfers.ts";
import { InputBuffer } from "./input_buffer.ts";

/** One connection. **Ownership**: borrows the device. */
export abstract class WireEnd<Out extends { readonly hasOverflowed: boolean }> {
  /** Bytes to send. */
  readonly output: Out;
  /** True once the peer has begun as the protocol wants. */
  hasHello = false;
  protected readonly device: UsbDevice;
  /** To be called when there is more to send. */
  protected readonly onOutput: () => void;
  protected readonly input: InputBuffer;
  /** Bytes that were received. */
  protected readonly bytes: Uint8Array;
  /** The same. */
  protected readonly view: DataView;
  /** The control transfer that is handed to the device. */
  protected readonly setup: Setup = {
    requestType: 0,
    request: 0,
    value: 0,
    index: 0,
    length: 0,
  };
  /** True while the device has this as its host. */
  protected isAttached = false;
  protected isClosed = false;
  #fault = "";

  /** Has room for messages of up to `inputBytes`. */
  constructor(
    device: UsbDevice,
    onOutput: () => void,
    output: Out,
    inputBytes: number,
  ) {
    this.device = device;
    this.onOutput = onOutput;
    this.output = output;
    this.input = new InputBuffer(inputBytes);
    this.bytes = this.input.bytes;
    this.view = this.input.view;
  }

  /** Why the peer is given up; empty: it is not. */
  get fault(): string {
    return this.#fault === "" && this.output.hasOverflowed
      ? "it does not read what it asks for"
      : this.#fault;
  }

  /** Room for what is received, lent until `received`. */
  get room(): Uint8Array {
    return this.input.room;
  }

  /** The bytes that are taken from the socket when they are served. */
  get copy(): InputBuffer {
    return this.input;
  }

  /** That many bytes came into the room. */
  received(count: number): void {
    this.input.received(count);
  }

  /** The connection is over: the device has no host any more. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    if (this.isAttached) this.device.detach();
  }

  /** Gives the peer up for the first `reason`. */
  protected fail(reason: string): false {
    if (this.#fault === "") this.#fault = reason;
    return false;
  }
}
