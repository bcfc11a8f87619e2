/**
 * A USB device at the end of a connection to the kernel's virtual host
 * controller, as bytes: what comes in, what goes out. A pure state machine;
 * sockets are the session's.
 *
 * @module
 */
import {
  DIRECTION_IN,
  NO_DATA,
  TransferStatus,
  type UsbDevice,
  type UsbHost,
} from "../usb/core/transfers.ts";
import type { UsbProtocol } from "../usb_host/adapter_server.ts";
import type { UsbWire } from "../usb_host/session.ts";
import { WireEnd } from "../usb_host/wire_end.ts";
import { AnswerBuffer } from "./answer_buffer.ts";
import { Field, HEADER, MAX_TRANSFER, Message, UrbStatus } from "./protocol.ts";
import { NO_SLOT, SLOTS, TransfersUnderWay } from "./transfers_under_way.ts";

const IN_BYTES = HEADER + MAX_TRANSFER;

const STATUSES: Readonly<Record<TransferStatus, number>> = {
  [TransferStatus.Success]: UrbStatus.Ok,
  [TransferStatus.Cancelled]: UrbStatus.Unlinked,
  [TransferStatus.Invalid]: UrbStatus.Stall,
  [TransferStatus.IoError]: UrbStatus.Protocol,
  [TransferStatus.Stall]: UrbStatus.Stall,
  [TransferStatus.Babble]: UrbStatus.Babble,
};

/** Protocol of this machine's own kernel. */
export const USBIP: UsbProtocol = {
  name: "USB/IP",
  makeWire: (device, onOutput) => new UsbipWire(device, onOutput),
  isFault: () => true,
};

/** One connection. **Ownership**: borrows the device. */
export class UsbipWire extends WireEnd<AnswerBuffer>
  implements UsbHost, UsbWire {
  /** A slot's number is the token of its transfer. */
  readonly #transfers = new TransfersUnderWay();
  /** The transfer that is being taken back: it has no answer of its own. */
  #unlinking = NO_SLOT;

  /** Attaches the device; `onOutput` is called when there is more to send. */
  constructor(device: UsbDevice, onOutput: () => void) {
    super(device, onOutput, new AnswerBuffer(), IN_BYTES);
    device.attach(this);
    this.isAttached = true;
  }

  /**
   * Serves one message.
   *
   * @returns False if there is no whole one, or the peer is given up.
   */
  next(): boolean {
    if (this.fault !== "" || this.isClosed) return false;
    const { start: at, available } = this.input;
    if (available < HEADER) return false;
    const view = this.view;
    const message = view.getUint32(at + Field.Message);
    const seqnum = view.getUint32(at + Field.Seqnum);
    if (message === Message.Unlink) {
      this.input.take(HEADER);
      this.hasHello = true;
      this.#unlink(seqnum, view.getUint32(at + Field.Victim));
      return this.fault === "";
    }
    if (message !== Message.Submit) {
      return this.fail(`it sent a message of type ${message}`);
    }
    const isIn = view.getUint32(at + Field.Direction) !== 0;
    const endpoint = view.getUint32(at + Field.Endpoint);
    const length = view.getUint32(at + Field.Length);
    if (endpoint > 15 || length > MAX_TRANSFER) {
      return this.fail(
        `it sent a transfer of ${length} bytes for endpoint ${endpoint}`,
      );
    }
    const dataLength = isIn ? 0 : length;
    if (available < HEADER + dataLength) return false;
    this.input.take(HEADER + dataLength);
    this.hasHello = true;
    this.#submit(seqnum, endpoint, isIn, length, at);
    return this.fault === "";
  }

  done(
    token: number,
    status: TransferStatus,
    data: Uint8Array,
    length: number,
  ): void {
    const transfers = this.#transfers;
    if (this.isClosed || !transfers.has(token)) return;
    transfers.free(token);
    if (token === this.#unlinking) return;
    const isIn = transfers.isIn[token] === 1;
    const most = Math.min(length, transfers.lengths[token]!);
    const isOk = status === TransferStatus.Success;
    this.output.answer(
      Message.SubmitDone,
      transfers.seqnums[token]!,
      STATUSES[status],
      isOk ? most : 0,
      isIn && isOk ? data : NO_DATA,
    );
    this.onOutput();
  }

  #submit(
    seqnum: number,
    endpoint: number,
    isIn: boolean,
    length: number,
    at: number,
  ): void {
    if (this.#transfers.find(seqnum) !== NO_SLOT) {
      return void this.fail(`it used the number ${seqnum} twice`);
    }
    const slot = this.#transfers.take(seqnum, isIn, length);
    if (slot === NO_SLOT) {
      return void this.fail(`it has ${SLOTS} transfers under way`);
    }
    const from = at + HEADER;
    const data = isIn ? NO_DATA : this.bytes.subarray(from, from + length);
    if (endpoint === 0) this.#control(slot, at + Field.Setup, isIn, data);
    else if (isIn) this.device.in(slot, endpoint | DIRECTION_IN, length);
    else this.device.out(slot, endpoint, data);
  }

  #control(slot: number, at: number, isIn: boolean, data: Uint8Array): void {
    const setup = this.setup;
    const view = this.view;
    setup.requestType = this.bytes[at]!;
    setup.request = this.bytes[at + 1]!;
    setup.value = view.getUint16(at + 2, true);
    setup.index = view.getUint16(at + 4, true);
    setup.length = view.getUint16(at + 6, true);
    const isRead = (setup.requestType & DIRECTION_IN) !== 0;
    // A request without data may go in either direction.
    if (
      setup.length > 0 && isRead !== isIn || !isIn &&
        data.length !== setup.length
    ) {
      return this.done(slot, TransferStatus.Stall, NO_DATA, 0);
    }
    this.device.control(slot, setup, data);
  }

  #unlink(seqnum: number, victim: number): void {
    const slot = this.#transfers.find(victim);
    let status: number = UrbStatus.Ok;
    if (slot !== NO_SLOT) {
      this.#unlinking = slot;
      this.device.cancel(slot);
      this.#unlinking = NO_SLOT;
      this.#transfers.free(slot);
      status = UrbStatus.Unlinked;
    }
    this.output.answer(Message.UnlinkDone, seqnum, status, 0, NO_DATA);
    this.onOutput();
  }
}
