/**
 * An Intel La Jolla Cove Adapter with GPIO lines: 1 to 64 lines of any
 * direction. Its interrupts are in `interrupts.ts`.
 *
 * The driver has these habits, which decide how lines are served:
 * * It makes an output by a configuration and a write, in this order. The line
 *   is driven by the write, so that it never has a level that no one asked for.
 * * Bits of bias and of an interrupt stay set in later configurations of a
 *   direction. The direction comes first then, and nothing else is done.
 * * A request that is refused is a transfer that stalls: EPIPE in the guest.
 *
 * @module
 */
import {
  Departure,
  Direction,
  Edges,
  FAILED,
  LineOperation,
  PENDING,
} from "../../line/port.ts";
import type { DriverRequest } from "../core/driver_request.ts";
import {
  GpioUsbDevice,
  type UsbDeviceOptions,
} from "../core/gpio_usb_device.ts";
import { InPipe } from "../core/in_pipe.ts";
import { checkLineCount, LINES_PER_ADAPTER } from "../core/models.ts";
import { RESTORE } from "../core/restoring_lines.ts";
import {
  type Saved,
  savedBytes,
  type SavedReader,
} from "../core/saved_state.ts";
import { TransferStatus } from "../core/transfers.ts";
import {
  Config,
  encodeEnumeration,
  Flag,
  GpioCommand,
  HEADER,
  ManagementCommand,
  MessageType,
} from "./protocol.ts";
import { ADAPTER_ENDPOINT, describeAdapter } from "./description.ts";
import { CHECK, LjcaInterrupts } from "./interrupts.ts";
import { answerManagement } from "./management.ts";
import { KEYBOARD_ENDPOINT, KEYBOARD_REPORT } from "./keyboard.ts";
import { decodeTrigger, toEdges, Trigger } from "./trigger.ts";

const MAX_LINES = LINES_PER_ADAPTER.ljca;
/** Events of all lines, and as many answers as requests can wait. */
const MAX_MESSAGES = MAX_LINES + 32;

/** Purposes of a line's operation. */
const Purpose = {
  Input: 0,
  Output: 1,
  Set: 2,
  Read: 3,
  Release: 4,
  /** First half of a configured interrupt: the line becomes an input. */
  TriggerInput: 5,
  /** Second half: its edges are asked for. */
  TriggerEdges: 6,
  Mask: 7,
} as const;

/** The adapter. */
export class LjcaDevice extends GpioUsbDevice {
  readonly #pipe: InPipe;
  readonly #enumeration: Uint8Array;
  readonly #interrupts: LjcaInterrupts;
  readonly #isInput: Uint8Array;
  readonly #wantsOutput: Uint8Array;
  readonly #edges: Uint8Array;
  /** Configuration that is under way. */
  #trigger = Trigger.None;

  /**
   * Makes the adapter.
   *
   * @throws {RangeError} If there are no lines, or more than 64.
   */
  constructor(options: UsbDeviceOptions) {
    const count = options.lines.length;
    checkLineCount("ljca", "an LJCA", count);
    const pipe = new InPipe(MAX_MESSAGES);
    super(
      describeAdapter(options.serial),
      options,
      [new Uint8Array(0), KEYBOARD_REPORT],
      new Map([
        [ADAPTER_ENDPOINT, pipe],
        [KEYBOARD_ENDPOINT, new InPipe(1)],
      ]),
    );
    this.#pipe = pipe;
    this.#enumeration = encodeEnumeration(count);
    this.#isInput = new Uint8Array(count);
    this.#wantsOutput = new Uint8Array(count);
    this.#edges = new Uint8Array(count);
    this.#interrupts = new LjcaInterrupts({
      bank: this.bank,
      clock: options,
      lostEdges: this.counters.lostEdges,
      send: (event) => pipe.push(event, event.length, this.host),
    });
  }

  protected override begin(request: DriverRequest): number {
    if (request.endpoint === 0) return this.#keyboardRequest(request);
    const { data, dataLength } = request;
    const length = data[HEADER.length]!;
    if (dataLength < HEADER.size || dataLength !== HEADER.size + length) {
      return this.invalid();
    }
    this.driverAsked();
    switch (data[HEADER.type]) {
      case MessageType.Management:
        return this.#manage(data[HEADER.command]!, data, length);
      case MessageType.Gpio:
        return this.#serveGpio(data[HEADER.command]!, data, length);
      default:
        return this.invalid();
    }
  }

  protected override ended(request: DriverRequest, status: number): void {
    if (request.endpoint === 0 || status !== TransferStatus.Success) return;
    const { data } = request;
    if ((data[HEADER.flags]! & Flag.Acknowledge) !== 0) {
      const { reply } = this;
      reply[HEADER.type] = data[HEADER.type]!;
      reply[HEADER.command] = data[HEADER.command]!;
      reply[HEADER.flags] = Flag.Acknowledge;
      reply[HEADER.length] = this.replyLength;
      const length = HEADER.size + this.replyLength;
      if (!this.#pipe.push(reply, length, this.host)) this.counters.overflows++;
    }
    // Behind the answer, which the driver waits for.
    this.#interrupts.answered();
  }

  protected override drained(): void {
    this.#interrupts.drained();
  }

  protected override forget(): void {
    this.#interrupts.forget();
    this.#isInput.fill(0);
    this.#wantsOutput.fill(0);
    this.#edges.fill(Edges.None);
  }

  protected override saveOwn(): Saved {
    return {
      isInput: savedBytes(this.#isInput),
      wantsOutput: savedBytes(this.#wantsOutput),
      edges: savedBytes(this.#edges),
      ...this.#interrupts.save(),
    };
  }

  protected override restoreOwn(saved: SavedReader): void {
    saved.fill("isInput", this.#isInput, 0, 1);
    saved.fill("wantsOutput", this.#wantsOutput, 0, 1);
    saved.fill("edges", this.#edges, Edges.None, Edges.Both);
    this.#interrupts.restore(saved);
  }

  protected override inputEdges(line: number): Edges | undefined {
    return this.#isInput[line] === 1 ? this.#edges[line] as Edges : undefined;
  }

  edge(line: number, level: number): void {
    this.#interrupts.edge(line, level);
  }

  restored(line: number): void {
    this.#interrupts.restored(line);
  }

  lineDone(line: number, result: number, purpose: number): void {
    if (purpose === RESTORE) this.restoredLine(result);
    else if (purpose === CHECK) this.#interrupts.checked(line, result);
    else {
      const status = this.#stepDone(line, result, purpose);
      if (status !== PENDING) this.finish(status);
    }
    this.#interrupts.settled(line);
  }

  /** Requests to the keyboard: it has nothing to say, and takes anything. */
  #keyboardRequest({ requestType, index, length }: DriverRequest): number {
    if (index !== 1) return this.invalid();
    if ((requestType & 0x80) === 0) return TransferStatus.Success;
    this.replyLength = Math.min(1, length);
    this.reply[0] = 0;
    return TransferStatus.Success;
  }

  #manage(command: number, data: Uint8Array, length: number): number {
    const replyLength = answerManagement(
      command,
      data,
      length,
      this.#enumeration,
      this.reply,
    );
    if (replyLength < 0) return this.invalid();
    this.replyLength = replyLength;
    // A driver begins, and cannot take events yet.
    if (command === ManagementCommand.Reset) this.#interrupts.forget();
    return TransferStatus.Success;
  }

  #serveGpio(command: number, data: Uint8Array, length: number): number {
    const line = data[HEADER.size + 1]!;
    // One line at a time is all that the driver asks for.
    if (length !== 3 || data[HEADER.size] !== 1 || line >= this.bank.length) {
      return this.invalid();
    }
    const value = data[HEADER.size + 2]!;
    switch (command) {
      case GpioCommand.Config:
        return this.#configure(line, value);
      case GpioCommand.Read:
        return this.#read(line);
      case GpioCommand.Write:
        return this.#write(line, value === 0 ? 0 : 1);
      case GpioCommand.Mask:
        return this.#mask(line);
      case GpioCommand.Unmask:
        this.#interrupts.unmask(line);
        return TransferStatus.Success;
      default:
        return this.invalid();
    }
  }

  #step(
    line: number,
    operation: LineOperation,
    argument: number,
    purpose: number,
  ): number {
    const result = this.bank.submit(line, operation, argument, purpose);
    return result === PENDING ? PENDING : this.#stepDone(line, result, purpose);
  }

  #configure(line: number, value: number): number {
    if ((value & Config.Output) !== 0) return this.#becomeOutput(line);
    if ((value & Config.Input) !== 0) {
      // An input that reports edges stays as it is, so that none gets lost.
      if (this.#isInput[line] === 1 && this.#edges[line] !== Edges.None) {
        this.answered(line, LineOperation.Input, true);
        return TransferStatus.Success;
      }
      return this.#step(line, LineOperation.Input, 0, Purpose.Input);
    }
    if ((value & Config.Interrupt) !== 0) {
      this.#trigger = decodeTrigger(value);
      if (this.#trigger === Trigger.None) return this.invalid();
      return this.#setTrigger(line);
    }
    if ((value & Config.Disable) !== 0) {
      return this.#step(
        line,
        LineOperation.Deactivate,
        Departure.LineReleased,
        Purpose.Release,
      );
    }
    // Bias is the host's.
    return TransferStatus.Success;
  }

  #becomeOutput(line: number): number {
    const isAllowed = this.options.lines[line]!.rule !== "input";
    this.answered(line, LineOperation.Output, isAllowed);
    if (!isAllowed) {
      this.options.events.refused(line);
      return TransferStatus.Stall;
    }
    this.#wantsOutput[line] = 1;
    return TransferStatus.Success;
  }

  #setTrigger(line: number): number {
    const isOutput = this.bank.lineDirection(line) === Direction.Output;
    if (isOutput || this.#wantsOutput[line] === 1) {
      this.answered(line, LineOperation.SetEdges, false);
      return TransferStatus.Stall;
    }
    return this.#isInput[line] === 1
      ? this.#askForEdges(line)
      : this.#step(line, LineOperation.Input, 0, Purpose.TriggerInput);
  }

  #askForEdges(line: number): number {
    const edges = toEdges(this.#trigger);
    return this.#edges[line] === edges
      ? this.#stepDone(line, 0, Purpose.TriggerEdges)
      : this.#step(line, LineOperation.SetEdges, edges, Purpose.TriggerEdges);
  }

  #read(line: number): number {
    const held = this.#interrupts.takeHeld(line);
    return held < 0
      ? this.#step(line, LineOperation.GetValue, 0, Purpose.Read)
      : this.#stepDone(line, held, Purpose.Read);
  }

  #write(line: number, level: number): number {
    if (this.bank.lineDirection(line) === Direction.Output) {
      return this.#step(line, LineOperation.SetValue, level, Purpose.Set);
    }
    // An input keeps its level, whatever is written.
    return this.#wantsOutput[line] === 1
      ? this.#step(line, LineOperation.Output, level, Purpose.Output)
      : TransferStatus.Success;
  }

  #mask(line: number): number {
    this.#interrupts.mask(line);
    if (this.#edges[line] === Edges.None) return TransferStatus.Success;
    return this.#step(
      line,
      LineOperation.SetEdges,
      Edges.None,
      Purpose.Mask,
    );
  }

  #stepDone(line: number, result: number, purpose: number): number {
    const isOk = result !== FAILED;
    switch (purpose) {
      case Purpose.Read:
        this.answered(line, LineOperation.GetValue, isOk);
        if (!isOk) return TransferStatus.Stall;
        this.reply[HEADER.size] = 1;
        this.reply[HEADER.size + 1] = line;
        this.reply[HEADER.size + 2] = result === 0 ? 0 : 1;
        this.replyLength = 3;
        return TransferStatus.Success;
      case Purpose.Output:
        if (isOk) {
          this.#isInput[line] = 0;
          this.#edges[line] = Edges.None;
          this.#interrupts.disable(line);
        }
        this.answered(line, LineOperation.SetValue, isOk);
        break;
      case Purpose.Set:
        this.answered(line, LineOperation.SetValue, isOk);
        break;
      case Purpose.Input:
      case Purpose.TriggerInput:
        this.answered(line, LineOperation.Input, isOk);
        if (!isOk) break;
        this.#isInput[line] = 1;
        this.#wantsOutput[line] = 0;
        if (purpose === Purpose.TriggerInput) return this.#askForEdges(line);
        break;
      case Purpose.TriggerEdges:
        this.answered(line, LineOperation.SetEdges, isOk);
        if (!isOk) break;
        this.#edges[line] = toEdges(this.#trigger);
        this.#interrupts.enable(line, this.#trigger);
        break;
      case Purpose.Mask:
        // Off in any case, for the guest.
        this.answered(line, LineOperation.SetEdges, true);
        this.#edges[line] = Edges.None;
        return TransferStatus.Success;
      case Purpose.Release:
        this.answered(line, LineOperation.Deactivate, isOk);
        if (!isOk) break;
        this.#isInput[line] = 0;
        this.#wantsOutput[line] = 0;
        this.#edges[line] = Edges.None;
        this.#interrupts.disable(line);
    }
    return isOk ? TransferStatus.Success : TransferStatus.Stall;
  }
}
