/**
 * A kernel that takes USB adapters of programs, by hand.
 *
 * @module
 */
import type {
  AdapterChip,
  AttachedAdapter,
  Relay,
  UsbKernel,
} from "../../src/kernel_chip/usb_adapter.ts";
import type { UsbModel } from "../../src/usb/core/models.ts";

/** A relay that ends when it is told to. */
class RelayDouble implements Relay {
  readonly #ended = Promise.withResolvers<string>();
  readonly #attached: () => readonly number[];
  isDisposed = false;

  constructor(attached: () => readonly number[]) {
    this.#attached = attached;
  }

  get ended(): Promise<string> {
    return this.#ended.promise;
  }

  attached(): Promise<readonly number[]> {
    return Promise.try(this.#attached);
  }

  end(reason: string): void {
    this.#ended.resolve(reason);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.isDisposed = true;
    this.end("disposed");
    return Promise.resolve();
  }
}

/** The kernel. */
export class UsbKernelDouble implements UsbKernel {
  readonly relays: RelayDouble[] = [];
  readonly sockets: string[][] = [];
  readonly attachFds: (number | undefined)[] = [];
  /** Answer to an attach; an Error is thrown. */
  refusal: Error | undefined;
  /** False: adapters become no chips. */
  hasDriver = true;
  model: UsbModel = "cp2112";
  /** Looks at devices that are still there after their connection has ended. */
  lingering = 0;
  /** Chips with a line that a program holds. */
  readonly used = new Set<string>();
  /** True: an old one, which does not tell holders that a chip has gone. */
  isForgetful = false;
  /** Looks at chips so far. */
  looks = 0;

  chooseModel(_lineCount: number, wanted?: UsbModel): UsbModel {
    // A kernel has one LJCA at most.
    if (this.lingering > 0) return "cp2112";
    return wanted ?? this.model;
  }

  startRelay(sockets: readonly string[], attachFd?: number): Relay {
    this.sockets.push([...sockets]);
    this.attachFds.push(attachFd);
    const relay = new RelayDouble(() => {
      if (this.refusal !== undefined) throw this.refusal;
      return sockets.map((_, i) => 30 * i);
    });
    this.relays.push(relay);
    return relay;
  }

  hasDevice(serials: readonly string[]): boolean {
    return serials.length > 0 && this.lingering-- > 0;
  }

  readLabel(_path: string): string {
    return "cp2112_gpio";
  }

  isUsed(path: string): boolean {
    return this.used.has(path);
  }

  forgetsHolders(): boolean {
    return this.isForgetful;
  }

  chips(adapters: readonly AttachedAdapter[]): AdapterChip[] {
    this.looks++;
    if (!this.hasDriver || this.relays.at(-1)?.isDisposed !== false) return [];
    return adapters.map(({ port }) => {
      const name = `gpiochip${7 + port / 30}`;
      return { path: `/dev/${name}`, name };
    });
  }
}
