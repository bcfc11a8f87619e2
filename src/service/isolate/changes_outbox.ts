/**
 * Reports of changed lines on their way to the service, which reads them when it
 * has time: those that wait become one.
 *
 * @module
 */
import type { LineChangeState } from "../../client/protocol.ts";
import type { LineChanges } from "../messages/messages.ts";

/** Lines of one report. */
const LINES_PER_REPORT = 64;

/** Sends one report at a time, with the last state of each line. */
export class ChangesOutbox {
  readonly #send: (changes: LineChanges, sent: () => void) => void;
  readonly #waiting = new Map<string, Map<number, LineChangeState>>();
  #isSending = false;

  /** `send` calls `sent` once the service has what it was given. */
  constructor(send: (changes: LineChanges, sent: () => void) => void) {
    this.#send = send;
  }

  /** Sends changes, or has them wait. */
  add({ aggregator, lines }: LineChanges): void {
    let waiting = this.#waiting.get(aggregator);
    if (waiting === undefined) {
      this.#waiting.set(aggregator, waiting = new Map());
    }
    for (const line of lines) {
      const before = waiting.get(line.lineNumber)?.changes ?? 0;
      // The oldest first, also if one changes all the time.
      waiting.set(line.lineNumber, {
        ...line,
        changes: before + line.changes,
      });
    }
    this.#sendNext();
  }

  #sendNext(): void {
    for (const [aggregator, waiting] of this.#waiting) {
      if (this.#isSending) return;
      const lines = [...waiting.values().take(LINES_PER_REPORT)];
      for (const { lineNumber } of lines) waiting.delete(lineNumber);
      if (waiting.size === 0) this.#waiting.delete(aggregator);
      this.#isSending = true;
      this.#send({ aggregator, lines }, () => {
        this.#isSending = false;
        this.#sendNext();
      });
    }
  }
}
