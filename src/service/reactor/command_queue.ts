/**
 * Commands that the reactor executes one after another, in pieces.
 *
 * @module
 */
import type { TimeShare } from "../../reactor/event_loop.ts";
import { abandon } from "../../reactor/pieces.ts";
import type { ReceivedFrame } from "../messages/command_channel.ts";
import {
  type Answer,
  type Command,
  errorReport,
  type Report,
} from "../messages/messages.ts";

/** Pieces of a command, some of which are parts of its answer. */
export type Steps = Generator<Answer | void, void>;

const NOTHING: Answer = { aggregators: [] };

/** One queue, with a share of the reactor's time. */
export class CommandQueue {
  readonly #share: TimeShare;
  readonly #obey: (command: Command) => Steps;
  readonly #tell: (report: Report) => void;
  readonly #waiting: ReceivedFrame[] = [];
  #current: { id: number; parts: Steps } | undefined;
  #isPutOff = false;

  /**
   * Makes a queue without commands.
   *
   * @param obey Executes a command.
   * @param tell Takes the parts of answers, and their ends.
   */
  constructor(
    share: TimeShare,
    obey: (command: Command) => Steps,
    tell: (report: Report) => void,
  ) {
    this.#share = share;
    this.#obey = obey;
    this.#tell = tell;
  }

  /** Takes one more command, which is begun in a turn of the queue's share. */
  add(frame: ReceivedFrame): void {
    this.#waiting.push(frame);
    this.#putOff();
  }

  /** Undoes what is half made. Nothing is executed any more. */
  abandon(): void {
    this.#waiting.length = 0;
    if (this.#current !== undefined) abandon(this.#current.parts);
    this.#current = undefined;
  }

  #putOff(): void {
    if (this.#isPutOff) return;
    this.#isPutOff = true;
    this.#share.defer(this.#serve);
  }

  /** Executes commands while the share has time left. */
  readonly #serve = (): void => {
    this.#isPutOff = false;
    while (this.#serveOne()) {
      if (!this.#share.isSpent) continue;
      this.#putOff();
      return;
    }
  };

  /** Executes a piece of a command; false if there is none. */
  #serveOne(): boolean {
    if (this.#current === undefined) {
      const next = this.#waiting.shift();
      if (next === undefined) return false;
      const { id, command } = next.parse();
      this.#current = { id, parts: this.#obey(command) };
    }
    const { id, parts } = this.#current;
    try {
      const { done, value } = parts.next();
      if (done === true) {
        this.#current = undefined;
        this.#tell({ kind: "done", id, ...NOTHING });
      } else if (value !== undefined) {
        this.#tell({ kind: "part", id, ...value });
      }
    } catch (error) {
      this.#current = undefined;
      this.#tell({ kind: "failed", id, error: errorReport(error) });
    }
    return true;
  }
}
