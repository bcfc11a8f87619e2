/**
 * A USB device at the end of a usbredir connection, as bytes: what comes in,
 * what goes out. A pure state machine; sockets are the session's.
 *
 * A peer that breaks the protocol is given up: `fault` says why. The limits are
 * the protocol's (64 KiB of data); what a device does not take has a status.
 *
 * @module
 */
import { MAX_MESSAGE } from "../usb/core/in_pipe.ts";
import {
  type Saved,
  savedBytes,
  type SavedReader,
} from "../usb/core/saved_state.ts";
import {
  DIRECTION_IN,
  EndpointType,
  NO_DATA,
  TransferStatus,
  type UsbDevice,
  type UsbHost,
} from "../usb/core/transfers.ts";
import type { UsbWire } from "../usb_host/session.ts";
import { WireEnd } from "../usb_host/wire_end.ts";
import { announce } from "./announcement.ts";
import { PacketWriter } from "./packet_writer.ts";
import {
  Capability,
  LONG_HEADER,
  MAX_BODY,
  MAX_HELLO,
  NO_HELLO,
  OWN_CAPABILITIES,
  Packet,
  SHORT_HEADER,
  VERSION_BYTES,
} from "./protocol.ts";
import { SLOTS, TransferTable } from "./transfer_table.ts";

const IN_BYTES = LONG_HEADER + MAX_BODY;
const VERSION = new TextEncoder().encode("gpioagg");
/** Tokens of what is received without being asked for, by endpoint. */
const STREAM_TOKEN = 1000;
const FREE = 0;
const NO_SLOT = -1;
/** Longest output that an earlier process may leave. **Units**: bytes. */
const MAX_SAVED_OUTPUT = 64 * 1024;

/** One connection. **Ownership**: borrows the device. */
export class UsbredirWire extends WireEnd<PacketWriter>
  implements UsbHost, UsbWire {
  readonly #table = new TransferTable();
  readonly #onChange: (() => void) | undefined;
  #capabilities = 0;
  readonly #isReceiving = new Uint8Array(16);
  #receivedId = 0;

  /**
   * Begins with a hello.
   *
   * @param onOutput Called when there is more to send, also from inside the
   * device: it must not close this, see {@linkcode UsbHost.done}.
   * @param onChange The same, when the device may have changed without that.
   */
  constructor(
    device: UsbDevice,
    onOutput: () => void,
    onChange?: () => void,
  ) {
    super(device, onOutput, new PacketWriter(), IN_BYTES);
    this.#onChange = onChange;
    const out = this.output;
    out.begin(Packet.Hello, 0, 0, MAX_HELLO);
    out.bytes(VERSION, VERSION.length);
    out.zeros(VERSION_BYTES - VERSION.length);
    out.u32(OWN_CAPABILITIES);
    out.finish();
  }

  /**
   * Serves one packet.
   *
   * @returns False if there is no whole one, or the peer is given up.
   */
  next(): boolean {
    if (this.fault !== "" || this.isClosed) return false;
    const header = this.hasHello && this.#has(Capability.Ids64)
      ? LONG_HEADER
      : SHORT_HEADER;
    const { start: at, available } = this.input;
    if (available < header) return false;
    const type = this.view.getUint32(at, true);
    const length = this.view.getUint32(at + 4, true);
    if (!this.hasHello && type !== Packet.Hello) return this.fail(NO_HELLO);
    if (length > (this.hasHello ? MAX_BODY : MAX_HELLO)) {
      return this.fail(`it sent a packet of ${length} bytes`);
    }
    if (available < header + length) return false;
    const idLow = this.view.getUint32(at + 8, true);
    const idHigh = header === LONG_HEADER
      ? this.view.getUint32(at + 12, true)
      : 0;
    this.input.take(header + length);
    this.#serve(type, idLow, idHigh, at + header, length);
    return this.fault === "";
  }

  override close(): void {
    super.close();
    this.#table.clear();
  }

  done(
    token: number,
    status: TransferStatus,
    data: Uint8Array,
    length: number,
  ): void {
    if (this.isClosed) return;
    if (token >= STREAM_TOKEN) {
      this.#streamed(token - STREAM_TOKEN, status, data, length);
    } else this.#answer(token, status, data, length);
    this.onOutput();
  }

  changed(): void {
    if (!this.isClosed) this.#onChange?.();
  }

  /** Returns all that the next process needs to go on; undefined before a hello. */
  save(): Saved | undefined {
    if (!this.isAttached) return undefined;
    return {
      capabilities: this.#capabilities,
      receiving: savedBytes(this.#isReceiving),
      receivedId: this.#receivedId,
      transfers: this.#table.save(),
      input: savedBytes(this.input.waiting),
      output: savedBytes(this.output.waiting),
      device: this.device.save?.(),
    };
  }

  /**
   * Goes on as an earlier process has left it, in place of a hello; `onFailed` is
   * called if a line cannot.
   *
   * @throws {RangeError} If that is not the state of such a connection.
   */
  restore(saved: SavedReader, onFailed: () => void): void {
    this.#capabilities = saved.integer("capabilities", 0, 2 ** 31 - 1) &
      OWN_CAPABILITIES;
    saved.fill("receiving", this.#isReceiving, 0, 1);
    this.#receivedId = saved.integer("receivedId", 0, Number.MAX_SAFE_INTEGER);
    this.#table.restore(saved.list("transfers", SLOTS));
    const input = saved.bytes("input", IN_BYTES);
    this.room.set(input);
    this.received(input.length);
    this.output.replace(saved.bytes("output", MAX_SAVED_OUTPUT));
    this.output.hasLongIds = this.#has(Capability.Ids64);
    this.hasHello = true;
    this.device.attach(this);
    this.isAttached = true;
    this.device.restore!(saved.part("device"), onFailed);
  }

  #has(capability: number): boolean {
    return (this.#capabilities & capability) !== 0;
  }

  #serve(
    type: number,
    idLow: number,
    idHigh: number,
    at: number,
    length: number,
  ): void {
    const bytes = this.bytes;
    switch (type) {
      case Packet.Hello:
        return this.#hello(at, length);
      case Packet.Reset:
        if (!this.#expect(type, length, 0)) return;
        this.#table.clear();
        this.#isReceiving.fill(0);
        return this.device.reset();
      case Packet.SetConfiguration:
        if (!this.#expect(type, length, 1)) return;
        return this.#configured(
          idLow,
          idHigh,
          this.device.configure(bytes[at]!),
        );
      case Packet.GetConfiguration:
        if (!this.#expect(type, length, 0)) return;
        return this.#configured(idLow, idHigh, true);
      case Packet.SetAltSetting:
        if (!this.#expect(type, length, 2)) return;
        return this.#altSetting(idLow, idHigh, bytes[at]!, bytes[at + 1]!);
      case Packet.GetAltSetting:
        if (!this.#expect(type, length, 1)) return;
        return this.#altSetting(idLow, idHigh, bytes[at]!, 0);
      case Packet.StartIsoStream:
        if (!this.#expect(type, length, 3)) return;
        return this.#sendStatus(
          Packet.IsoStreamStatus,
          idLow,
          idHigh,
          TransferStatus.Invalid,
          bytes[at]!,
        );
      case Packet.StopIsoStream:
        if (!this.#expect(type, length, 1)) return;
        return this.#sendStatus(
          Packet.IsoStreamStatus,
          idLow,
          idHigh,
          TransferStatus.Success,
          bytes[at]!,
        );
      case Packet.StartInterruptReceiving:
      case Packet.StopInterruptReceiving:
        if (!this.#expect(type, length, 1)) return;
        return this.#receive(
          idLow,
          idHigh,
          bytes[at]!,
          type === Packet.StartInterruptReceiving,
        );
      case Packet.CancelData:
        if (!this.#expect(type, length, 0)) return;
        return this.#cancel(idLow, idHigh);
      case Packet.Control:
        return this.#control(idLow, idHigh, at, length);
      case Packet.Bulk:
        return this.#bulk(idLow, idHigh, at, length);
      case Packet.Interrupt:
        return this.#interrupt(idLow, idHigh, at, length);
      case Packet.FilterReject:
      case Packet.FilterFilter:
      case Packet.DisconnectAck:
        return;
      default:
        this.fail(`it sent a packet of type ${type}`);
    }
  }

  #expect(type: number, length: number, expected: number): boolean {
    if (length === expected) return true;
    return this.fail(
      `it sent a packet of type ${type} with ${length} bytes instead of ` +
        `${expected}`,
    );
  }

  #hello(at: number, length: number): void {
    if (this.hasHello) return void this.fail("it said hello twice");
    if (length < VERSION_BYTES || length % 4 !== 0) {
      return void this.fail(`it sent a hello of ${length} bytes`);
    }
    this.hasHello = true;
    const own = length > VERSION_BYTES
      ? this.view.getUint32(at + VERSION_BYTES, true)
      : 0;
    this.#capabilities = own & OWN_CAPABILITIES;
    this.output.hasLongIds = this.#has(Capability.Ids64);
    this.device.attach(this);
    this.isAttached = true;
    announce(this.output, this.device.description, this.#capabilities);
    this.onOutput();
  }

  #sendStatus(
    type: number,
    idLow: number,
    idHigh: number,
    first: number,
    second: number,
  ): void {
    const out = this.output;
    if (!out.begin(type, idLow, idHigh, 2)) return;
    out.u8(first);
    out.u8(second);
    out.finish();
    this.onOutput();
  }

  #configured(idLow: number, idHigh: number, isOk: boolean): void {
    this.#sendStatus(
      Packet.ConfigurationStatus,
      idLow,
      idHigh,
      isOk ? TransferStatus.Success : TransferStatus.Invalid,
      this.device.configuration,
    );
  }

  #altSetting(
    idLow: number,
    idHigh: number,
    number: number,
    setting: number,
  ): void {
    const out = this.output;
    const isOk = number < this.device.description.interfaces.length &&
      setting === 0;
    if (!out.begin(Packet.AltSettingStatus, idLow, idHigh, 3)) return;
    out.u8(isOk ? TransferStatus.Success : TransferStatus.Invalid);
    out.u8(number);
    out.u8(0);
    out.finish();
    this.onOutput();
  }

  /** Begins or ends to send whatever an endpoint has, without being asked. */
  #receive(
    idLow: number,
    idHigh: number,
    endpoint: number,
    isStart: boolean,
  ): void {
    const number = endpoint & 0x0f;
    const isOk = this.#isInterrupt(endpoint);
    const isReceiving = this.#isReceiving[number] === 1;
    this.#sendStatus(
      Packet.InterruptReceivingStatus,
      idLow,
      idHigh,
      isOk ? TransferStatus.Success : TransferStatus.Invalid,
      endpoint,
    );
    if (!isOk || isReceiving === isStart) return;
    this.#isReceiving[number] = isStart ? 1 : 0;
    if (isStart) this.#askFor(endpoint);
    else this.device.cancel(STREAM_TOKEN + endpoint);
  }

  #askFor(endpoint: number): void {
    this.device.in(STREAM_TOKEN + endpoint, endpoint, MAX_MESSAGE);
  }

  #isInterrupt(endpoint: number): boolean {
    if ((endpoint & DIRECTION_IN) === 0) return false;
    for (const { endpoints } of this.device.description.interfaces) {
      for (const { address, type } of endpoints) {
        if (address === endpoint) return type === EndpointType.Interrupt;
      }
    }
    return false;
  }

  #streamed(
    endpoint: number,
    status: TransferStatus,
    data: Uint8Array,
    length: number,
  ): void {
    if (status !== TransferStatus.Success) {
      // It was stopped, or its configuration has ended.
      this.#isReceiving[endpoint & 0x0f] = 0;
      return;
    }
    const out = this.output;
    if (!out.begin(Packet.Interrupt, this.#receivedId++, 0, 4 + length)) {
      return;
    }
    out.u8(endpoint);
    out.u8(status);
    out.u16(length);
    out.bytes(data, length);
    out.finish();
    if (this.#isReceiving[endpoint & 0x0f] === 1) this.#askFor(endpoint);
  }

  #cancel(idLow: number, idHigh: number): void {
    const slot = this.#table.find(idLow, idHigh);
    // It may be answered already, on its way to the peer.
    if (slot !== NO_SLOT) this.device.cancel(slot);
  }

  #control(
    idLow: number,
    idHigh: number,
    at: number,
    length: number,
  ): void {
    const header = 10;
    const bytes = this.bytes;
    const view = this.view;
    if (length < header) return void this.#expect(Packet.Control, length, 10);
    const setup = this.setup;
    setup.request = bytes[at + 1]!;
    setup.requestType = bytes[at + 2]!;
    setup.value = view.getUint16(at + 4, true);
    setup.index = view.getUint16(at + 6, true);
    setup.length = view.getUint16(at + 8, true);
    const isIn = (setup.requestType & DIRECTION_IN) !== 0;
    const dataLength = isIn ? 0 : setup.length;
    if (!this.#expect(Packet.Control, length, header + dataLength)) return;
    const slot = this.#take(Packet.Control, idLow, idHigh, bytes[at]!);
    if (slot === NO_SLOT) return;
    this.#table.keepSetup(slot, setup);
    const from = at + header;
    this.device.control(slot, setup, bytes.subarray(from, from + dataLength));
  }

  #bulk(idLow: number, idHigh: number, at: number, length: number): void {
    const hasHigh = this.#has(Capability.BulkLength32);
    const header = hasHigh ? 10 : 8;
    const bytes = this.bytes;
    const view = this.view;
    if (length < header) return void this.#expect(Packet.Bulk, length, header);
    const endpoint = bytes[at]!;
    const size = view.getUint16(at + 2, true) +
      (hasHigh ? view.getUint16(at + 8, true) * 0x1_0000 : 0);
    const isIn = (endpoint & DIRECTION_IN) !== 0;
    const dataLength = isIn ? 0 : size;
    if (!this.#expect(Packet.Bulk, length, header + dataLength)) return;
    const slot = this.#take(Packet.Bulk, idLow, idHigh, endpoint);
    if (slot === NO_SLOT) return;
    this.#table.streams[slot] = view.getUint32(at + 4, true);
    const from = at + header;
    if (isIn) this.device.in(slot, endpoint, size);
    else this.device.out(slot, endpoint, bytes.subarray(from, from + size));
  }

  #interrupt(idLow: number, idHigh: number, at: number, length: number): void {
    const header = 4;
    const bytes = this.bytes;
    if (length < header) return void this.#expect(Packet.Interrupt, length, 4);
    const endpoint = bytes[at]!;
    const size = this.view.getUint16(at + 2, true);
    if ((endpoint & DIRECTION_IN) !== 0) {
      return void this.fail("it sent data of an endpoint that sends to it");
    }
    if (!this.#expect(Packet.Interrupt, length, header + size)) return;
    const slot = this.#take(Packet.Interrupt, idLow, idHigh, endpoint);
    if (slot === NO_SLOT) return;
    const from = at + header;
    this.device.out(slot, endpoint, bytes.subarray(from, from + size));
  }

  #take(
    type: number,
    idLow: number,
    idHigh: number,
    endpoint: number,
  ): number {
    const slot = this.#table.take(type, idLow, idHigh, endpoint);
    if (slot === NO_SLOT) {
      this.fail(
        "it has more transfers under way than the device has room for",
      );
    }
    return slot;
  }

  #answer(
    slot: number,
    status: TransferStatus,
    data: Uint8Array,
    length: number,
  ): void {
    const table = this.#table;
    const type = table.types[slot]!;
    // The peer has reset the device meanwhile.
    if (type === FREE) return;
    const out = this.output;
    const endpoint = table.endpoints[slot]!;
    const sent = data === NO_DATA ? 0 : length;
    const isBegun = out.begin(
      type,
      table.idsLow[slot]!,
      table.idsHigh[slot]!,
      10 + sent,
    );
    if (isBegun) {
      out.u8(endpoint);
      if (type === Packet.Control) {
        out.u8(table.requests[slot]! & 0xff);
        out.u8(table.requests[slot]! >>> 8);
        out.u8(status);
        out.u16(table.values[slot]!);
        out.u16(table.indices[slot]!);
        out.u16(length);
      } else {
        out.u8(status);
        out.u16(length & 0xffff);
        if (type === Packet.Bulk) {
          out.u32(table.streams[slot]!);
          if (this.#has(Capability.BulkLength32)) out.u16(length >>> 16);
        }
      }
      out.bytes(data, sent);
      out.finish();
    }
    table.free(slot);
  }
}
