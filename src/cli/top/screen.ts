/**
 * The terminal while a picture is shown on it: its other screen, without a
 * cursor and without echo, and back.
 *
 * @module
 */

/** Parts of the terminal that are used. */
export interface Terminal {
  /** Writes at once. */
  write(text: string): void;
  /** Turns reading key by key on and off. */
  setRaw(isRaw: boolean): void;
}

const ENTER = "\x1b[?1049h\x1b[?25l\x1b[H\x1b[2J";
const LEAVE = "\x1b[?25h\x1b[?1049l";

/** Shows pictures. Only rows that differ are written, all in one write. */
export class Screen implements Disposable {
  readonly #terminal: Terminal;
  #rows: readonly string[] | undefined;

  /** Leaves the terminal as it is until {@linkcode Screen.enter}. */
  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Takes the terminal. Idempotent. */
  enter(): void {
    if (this.#rows !== undefined) return;
    this.#rows = [];
    this.#terminal.setRaw(true);
    this.#terminal.write(ENTER);
  }

  /** Gives the terminal back as it was. Idempotent. */
  leave(): void {
    if (this.#rows === undefined) return;
    this.#rows = undefined;
    try {
      this.#terminal.write(LEAVE);
    } finally {
      this.#terminal.setRaw(false);
    }
  }

  /** Forgets what is shown, as after another size. */
  clear(): void {
    if (this.#rows === undefined) return;
    this.#rows = [];
    this.#terminal.write("\x1b[2J");
  }

  /** Shows rows; does nothing unless it has the terminal. */
  show(rows: readonly string[]): void {
    const before = this.#rows;
    if (before === undefined) return;
    let text = "";
    for (const [i, row] of rows.entries()) {
      if (row !== before[i]) text += `\x1b[${i + 1};1H${row}\x1b[K`;
    }
    if (rows.length < before.length) text += `\x1b[${rows.length + 1};1H\x1b[J`;
    this.#rows = [...rows];
    if (text !== "") this.#terminal.write(text);
  }

  /** The same as {@linkcode Screen.leave}. */
  [Symbol.dispose](): void {
    this.leave();
  }
}
