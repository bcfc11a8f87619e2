/**
 * A line editor: converts keys to a line of text, with history and completion,
 * and the emacs keys of shells. It reads and returns bytes, and does not know
 * the terminal.
 *
 * @module
 */

/** Source of completions. */
interface Completer {
  /**
   * Returns the possible replacements of the word that ends at the cursor.
   *
   * @param before The line up to the cursor.
   * @returns The start of that word, and whole words, each with the text to
   * follow it (a blank, or nothing if the word may continue).
   */
  complete(before: string): {
    readonly start: number;
    readonly words: readonly string[];
  };
}

/** Result of some bytes. */
type EditorEvent =
  | { readonly kind: "line"; readonly text: string }
  | { readonly kind: "end" };

/** Options of a line editor. */
interface LineEditorOptions {
  readonly prompt: string;
  readonly completer: Completer;
  /** Shows text on the terminal. */
  readonly show: (text: string) => void;
  /** Columns of the terminal, asked at each redraw. */
  readonly columns: () => number;
}

const HISTORY = 200;
const BELL = "\x07";

/** Escape sequences of the keys, by function. */
const SEQUENCES: Readonly<Record<string, keyof typeof ACTIONS>> = {
  "[A": "older",
  "[B": "newer",
  "[C": "right",
  "[D": "left",
  "OA": "older",
  "OB": "newer",
  "OC": "right",
  "OD": "left",
  "[H": "home",
  "[F": "end",
  "OH": "home",
  "OF": "end",
  "[1~": "home",
  "[7~": "home",
  "[4~": "end",
  "[8~": "end",
  "[3~": "deleteRight",
  "[1;5C": "wordRight",
  "[1;5D": "wordLeft",
  f: "wordRight",
  b: "wordLeft",
  d: "deleteWordRight",
  "\x7f": "deleteWordLeft",
};

/** Control characters, by function. */
const CONTROLS: Readonly<Record<string, keyof typeof ACTIONS>> = {
  "\x01": "home",
  "\x02": "left",
  "\x05": "end",
  "\x06": "right",
  "\x08": "deleteLeft",
  "\x0b": "deleteToEnd",
  "\x0c": "clearScreen",
  "\x0e": "newer",
  "\x10": "older",
  "\x15": "deleteToHome",
  "\x17": "deleteWordLeft",
  "\x7f": "deleteLeft",
};

/** The text under edit. */
interface State {
  /** The line's characters; a character is one step of the cursor. */
  text: string[];
  cursor: number;
}

/** Changes of the text and the cursor that need no other state. */
const ACTIONS = {
  home: (state: State) => void (state.cursor = 0),
  end: (state: State) => void (state.cursor = state.text.length),
  left: (state: State) => void (state.cursor = Math.max(0, state.cursor - 1)),
  right: (state: State) =>
    void (state.cursor = Math.min(state.text.length, state.cursor + 1)),
  wordLeft: (state: State) => void (state.cursor = wordStart(state)),
  wordRight: (state: State) => void (state.cursor = wordEnd(state)),
  deleteLeft: (state: State) => remove(state, state.cursor - 1, state.cursor),
  deleteRight: (state: State) => remove(state, state.cursor, state.cursor + 1),
  deleteToHome: (state: State) => remove(state, 0, state.cursor),
  deleteToEnd: (state: State) => remove(state, state.cursor, state.text.length),
  deleteWordLeft: (state: State) =>
    remove(state, wordStart(state), state.cursor),
  deleteWordRight: (state: State) =>
    remove(state, state.cursor, wordEnd(state)),
  // The editor's own: see LineEditor.#perform.
  older: undefined,
  newer: undefined,
  clearScreen: undefined,
};

function remove(state: State, from: number, to: number): void {
  const start = Math.max(0, from);
  state.text.splice(start, Math.min(to, state.text.length) - start);
  state.cursor = Math.min(start, state.text.length);
}

function wordStart({ text, cursor }: State): number {
  let at = cursor;
  while (at > 0 && text[at - 1] === " ") at--;
  while (at > 0 && text[at - 1] !== " ") at--;
  return at;
}

function wordEnd({ text, cursor }: State): number {
  let at = cursor;
  while (at < text.length && text[at] === " ") at++;
  while (at < text.length && text[at] !== " ") at++;
  return at;
}

/** Edits one line after another. */
export class LineEditor {
  readonly #options: LineEditorOptions;
  readonly #decoder = new TextDecoder();
  #state: State = { text: [], cursor: 0 };
  readonly #history: string[] = [];
  /** Index of the shown line of the history; its length for the edited line. */
  #shown = 0;
  /** The edited line while one of the history is shown. */
  #draft = "";
  /** Input that may be the beginning of a longer key. */
  #pending = "";
  /** Set if the last key was an ambiguous completion. */
  #completing = false;

  /** Makes an editor; {@linkcode begin} shows its prompt. */
  constructor(options: LineEditorOptions) {
    this.#options = options;
  }

  /** Begins a new line: shows the prompt. */
  begin(): void {
    this.#state = { text: [], cursor: 0 };
    this.#shown = this.#history.length;
    this.#draft = "";
    this.#redraw();
  }

  /**
   * Takes typed bytes, and yields the lines that they complete. The caller
   * calls {@linkcode begin} for the next line; input is taken up to there.
   */
  *feed(bytes: Uint8Array): Generator<EditorEvent, void> {
    const text = this.#decoder.decode(bytes, { stream: true });
    const input = [...this.#pending, ...text];
    this.#pending = "";
    while (input.length > 0) {
      const key = takeKey(input);
      if (key === undefined) {
        this.#pending = input.join("");
        return;
      }
      const event = this.#press(key);
      if (event !== undefined) yield event;
    }
  }

  #press(key: string): EditorEvent | undefined {
    if (key === "\t") {
      this.#complete();
      return undefined;
    }
    this.#completing = false;
    if (key === "\r" || key === "\n") return this.#finish();
    if (key === "\x04") {
      if (this.#state.text.length === 0) {
        this.#options.show("\r\n");
        return { kind: "end" };
      }
      this.#perform("deleteRight");
      return undefined;
    }
    if (key.startsWith("\x1b")) {
      const action = SEQUENCES[key.slice(1)];
      if (action !== undefined) this.#perform(action);
      return undefined;
    }
    const action = CONTROLS[key];
    if (action !== undefined) this.#perform(action);
    else if (key >= " ") this.#insert(key);
    return undefined;
  }

  #finish(): EditorEvent {
    const text = this.#state.text.join("");
    if (text.trim() !== "" && this.#history.at(-1) !== text) {
      this.#history.push(text);
      if (this.#history.length > HISTORY) this.#history.shift();
    }
    this.#options.show("\r\n");
    return { kind: "line", text };
  }

  #perform(action: keyof typeof ACTIONS): void {
    if (action === "older") this.#recall(this.#shown - 1);
    else if (action === "newer") this.#recall(this.#shown + 1);
    else if (action === "clearScreen") this.#options.show("\x1b[H\x1b[2J");
    else ACTIONS[action]?.(this.#state);
    this.#redraw();
  }

  #recall(index: number): void {
    if (index < 0 || index > this.#history.length) return;
    if (this.#shown === this.#history.length) {
      this.#draft = this.#state.text.join("");
    }
    this.#shown = index;
    const text = [...this.#history[index] ?? this.#draft];
    this.#state = { text, cursor: text.length };
  }

  #insert(text: string): void {
    const characters = [...text];
    this.#state.text.splice(this.#state.cursor, 0, ...characters);
    this.#state.cursor += characters.length;
    this.#redraw();
  }

  #complete(): void {
    const { text, cursor } = this.#state;
    const before = text.slice(0, cursor).join("");
    const { start, words } = this.#options.completer.complete(before);
    const typed = before.slice(start);
    const common = commonStart(words);
    if (common.length > typed.length) {
      this.#insert(common.slice(typed.length));
      this.#completing = false;
    } else if (this.#completing && words.length > 1) {
      this.#options.show(
        `\r\n${words.map((word) => word.trim()).join("  ")}\r\n`,
      );
      this.#redraw();
    } else {
      if (words.length !== 1) this.#options.show(BELL);
      this.#completing = true;
    }
  }

  /** Shows the part of the line that fits around the cursor. */
  #redraw(): void {
    const { prompt, show, columns } = this.#options;
    const { text, cursor } = this.#state;
    const room = Math.max(8, columns() - prompt.length - 1);
    const first = Math.max(0, cursor - room);
    const visible = text.slice(first, first + room).join("");
    const back = Math.min(text.length, first + room) - cursor;
    const move = back > 0 ? `\x1b[${back}D` : "";
    show(`\r${prompt}${visible}\x1b[K${move}`);
  }
}

/**
 * Removes one key from the front of `input`: a character, or an escape
 * sequence. Undefined if the rest of a sequence has not arrived.
 */
function takeKey(input: string[]): string | undefined {
  if (input[0] !== "\x1b") return input.shift();
  if (input.length < 2) return undefined;
  if (input[1] !== "[" && input[1] !== "O") {
    return input.splice(0, 2).join("");
  }
  // Parameters, then one letter or ~.
  const end = input.findIndex((character, index) =>
    index > 1 && !/[0-9;]/.test(character)
  );
  return end < 0 ? undefined : input.splice(0, end + 1).join("");
}

function commonStart(words: readonly string[]): string {
  const [first = "", ...others] = words;
  let length = first.length;
  for (const word of others) {
    while (!word.startsWith(first.slice(0, length))) length--;
  }
  return first.slice(0, length);
}
