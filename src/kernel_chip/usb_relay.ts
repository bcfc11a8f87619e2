/**
 * The process that relays between the kernel's USB host controller and the
 * service, as its maker sees it: `gpioagg usb-relay`.
 *
 * @module
 */
import { type OwnCommand, startableCommand } from "../../ffi/own_command.ts";
import type { RelayReport } from "../usbip/relay_process.ts";

/** The hidden command that runs the process. */
export const RELAY_COMMAND = "usb-relay";
/** Beginning of its argument with the number of a descriptor. */
export const ATTACH_FD = "--attach-fd=";

/** **Ownership**: disposing ends the process, and with it the adapters. */
export class UsbRelay implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #ended = Promise.withResolvers<string>();
  readonly #attached = Promise.withResolvers<readonly number[]>();

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    // The maker asks for what it needs.
    this.#attached.promise.catch(() => {});
    void this.#read();
  }

  /**
   * Starts the process for the devices behind these sockets.
   *
   * @param attachFd The controller's `attach`, which this process inherited, as
   * the new one does then; absent: it opens the file.
   * @param command This program; tests bring their own.
   * @throws {Error} If it cannot be started.
   */
  static start(
    sockets: readonly string[],
    attachFd?: number,
    command: OwnCommand & Disposable = startableCommand(Deno.args.length),
  ): UsbRelay {
    using stack = new DisposableStack();
    stack.use(command);
    const [, ...words] = command.argv;
    const child = new Deno.Command(command.path, {
      args: [
        ...words,
        RELAY_COMMAND,
        ...attachFd === undefined ? [] : [`${ATTACH_FD}${attachFd}`],
        ...sockets,
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
      cwd: "/",
      // A session of its own: a terminal's signals go to the maker's group.
      detached: true,
    }).spawn();
    const relay = new UsbRelay(child);
    // A compiled executable reads its own file only after it was started.
    const file = stack.move();
    const free = () => file.dispose();
    relay.#attached.promise.then(free, free);
    return relay;
  }

  /** Resolves with the reason once the process has ended. */
  get ended(): Promise<string> {
    return this.#ended.promise;
  }

  /**
   * Waits until the kernel has the devices. @returns Their ports.
   *
   * @throws {Error} If it does not take them.
   */
  attached(): Promise<readonly number[]> {
    return this.#attached.promise;
  }

  /** Ends the process. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill();
    await this.#ended.promise;
  }

  #kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }

  async #read(): Promise<void> {
    let reason = "the process between the kernel and gpioagg has ended";
    let text = "";
    const decoder = new TextDecoder();
    try {
      for await (const bytes of this.#child.stdout) {
        text += decoder.decode(bytes, { stream: true });
        const lines = text.split("\n");
        text = lines.pop()!;
        for (const line of lines) {
          const report = JSON.parse(line) as RelayReport;
          if (report.kind === "attached") this.#attached.resolve(report.ports);
          else reason = report.reason;
        }
      }
    } catch (error) {
      // It is not the process that it should be.
      reason = (error as Error).message;
      this.#kill();
    }
    await this.#child.status;
    this.#attached.reject(new Error(reason));
    this.#ended.resolve(reason);
  }
}
