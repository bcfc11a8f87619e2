/**
 * Commands on their way to the reactor, and the answers that they wait for.
 *
 * @module
 */
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { send } from "../../../ffi/socket_message.ts";
import { encodeFrame } from "../messages/command_channel.ts";
import {
  type Answer,
  type Command,
  joinAnswer,
  type Report,
  toError,
} from "../messages/messages.ts";

/** Interval of attempts while the reactor does not read. **Units**: ms. */
const AGAIN_MS = 1;

interface Waiting {
  /** The part of the answer that has arrived. */
  readonly parts: Answer[];
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/** The commands of one reactor. **Ownership**: of the socket to it. */
export class ReactorCommands implements Disposable {
  readonly #socket: OwnedFd;
  readonly #waiting = new Map<number, Waiting>();
  readonly #outgoing: Uint8Array[] = [];
  #nextId = 1;
  /** Set once the reactor has ended by an exception. */
  #crashed: Error | undefined;

  /** Sends commands over `socket`, which does not block. */
  constructor(socket: OwnedFd) {
    this.#socket = socket;
  }

  /**
   * Sends a command, in order, and waits for its whole answer.
   *
   * @throws {Error} As a rejection, the error of the command, or of the
   * reactor's end.
   */
  ask(command: Command): Promise<Answer> {
    if (this.#crashed !== undefined) return Promise.reject(this.#crashed);
    const id = this.#nextId++;
    const bytes = encodeFrame({ id, command });
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { parts: [], resolve, reject });
      this.#outgoing.push(bytes);
      if (this.#outgoing.length === 1) this.#write();
    });
  }

  /** The reactor has sent an answer, or a part of one. */
  answered(
    report: Extract<Report, { kind: "part" | "done" | "failed" }>,
  ): void {
    if (report.kind === "part") {
      this.#waiting.get(report.id)?.parts.push(report);
      return;
    }
    const waiting = this.#take(report.id);
    if (report.kind === "failed") waiting?.reject(toError(report.error));
    else waiting?.resolve(joinAnswer([...waiting.parts, report]));
  }

  /** The reactor has ended: no command is answered any more. */
  crashed(error: Error): void {
    this.#crashed = error;
    for (const id of [...this.#waiting.keys()]) this.#take(id)?.reject(error);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  #write(): void {
    for (
      let bytes = this.#outgoing[0];
      bytes !== undefined;
      bytes = this.#outgoing[0]
    ) {
      const sent = Math.max(0, send(this.#socket.fd, bytes));
      if (sent < bytes.length) {
        // The reactor is busy and its socket full: it reads soon.
        this.#outgoing[0] = bytes.subarray(sent);
        setTimeout(() => this.#write(), AGAIN_MS);
        return;
      }
      this.#outgoing.shift();
    }
  }
}
