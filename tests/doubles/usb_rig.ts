/**
 * A USB adapter with model lines, a clock that stands still, and a host that
 * keeps every answer.
 *
 * @module
 */
import type { LineOperation } from "../../src/line/port.ts";
import type {
  GpioUsbDevice,
  UsbDeviceOptions,
} from "../../src/usb/core/gpio_usb_device.ts";
import type {
  Setup,
  TransferStatus,
  UsbHost,
} from "../../src/usb/core/transfers.ts";
import { ModelPort } from "./model_port.ts";

/** Answer to a transfer. */
export interface UsbAnswer {
  readonly status: TransferStatus;
  readonly data: number[];
  readonly length: number;
}

/** Deadlines by hand. */
export class HandClock {
  now = 0;
  #timers: { at: number; onElapsed: () => void }[] = [];

  readonly after = (ms: number, onElapsed: () => void): Disposable => {
    const timer = { at: this.now + ms, onElapsed };
    this.#timers.push(timer);
    return {
      [Symbol.dispose]: () => {
        this.#timers = this.#timers.filter((one) => one !== timer);
      },
    };
  };

  /** Number of deadlines that are set. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Lets time pass, and calls what is due. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const [next] = this.#timers.filter(({ at }) => at <= end)
        .sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((one) => one !== next);
      this.now = Math.max(this.now, next.at);
      next.onElapsed();
    }
    this.now = end;
  }
}

/** A device with what stands around it. */
export class UsbRig implements UsbHost {
  readonly clock = new HandClock();
  readonly ports: readonly ModelPort[];
  readonly rules: ("any" | "input" | "output")[];
  readonly device: GpioUsbDevice;
  readonly answers = new Map<number, UsbAnswer>();
  /** Reports of the device about its guest. */
  readonly told: string[] = [];
  /** Line, operation and success of every request. */
  readonly requests: [number, LineOperation, boolean][] = [];
  #token = 0;

  constructor(
    Device: new (options: UsbDeviceOptions) => GpioUsbDevice,
    lineCount: number,
  ) {
    this.ports = Array.from({ length: lineCount }, () => new ModelPort());
    this.rules = this.ports.map(() => "any");
    const { rules } = this;
    this.device = new Device({
      lines: this.ports.map((port, i) => ({
        port,
        get rule() {
          return rules[i]!;
        },
      })),
      serial: "plc0",
      now: () => this.clock.now,
      after: this.clock.after,
      events: {
        began: () => this.told.push("began"),
        gone: () => this.told.push("gone"),
        answered: (line, operation, isOk) =>
          this.requests.push([line, operation, isOk]),
        refused: (line) => this.told.push(`refused ${line}`),
      },
    });
    this.device.attach(this);
  }

  done(
    token: number,
    status: TransferStatus,
    data: Uint8Array,
    length: number,
  ): void {
    if (this.answers.has(token)) throw new Error(`${token} is done twice`);
    this.answers.set(token, { status, data: [...data], length });
  }

  /** Begins a control transfer; its token. */
  control(
    requestType: number,
    request: number,
    value: number,
    index: number,
    length: number,
    data: readonly number[] = [],
  ): number {
    const setup: Setup = { requestType, request, value, index, length };
    this.device.control(++this.#token, setup, Uint8Array.from(data));
    return this.#token;
  }

  /** The answer to a control transfer, which is there at once. */
  controlled(...args: Parameters<UsbRig["control"]>): UsbAnswer {
    const token = this.control(...args);
    const answer = this.answers.get(token);
    if (answer === undefined) throw new Error("there is no answer yet");
    return answer;
  }

  /** Begins a transfer to an endpoint; its token. */
  out(endpoint: number, data: readonly number[]): number {
    this.device.out(++this.#token, endpoint, Uint8Array.from(data));
    return this.#token;
  }

  /** Begins a transfer from an endpoint; its token. */
  in(endpoint: number, length = 64): number {
    this.device.in(++this.#token, endpoint, length);
    return this.#token;
  }
}
