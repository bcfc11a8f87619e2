/**
 * `set --interactive`: commands from a terminal, with line editing, or from a
 * pipe, line by line.
 *
 * @module
 */
import { writeOut } from "../../program/output.ts";
import type { OutputLines } from "../../lines/output_lines.ts";
import { type CommandOptions, Commands } from "./commands.ts";
import { LineEditor } from "./line_editor.ts";

const PROMPT = "gpioset> ";
const USUAL_COLUMNS = 80;

/** Runs commands until `exit` or the end of the input. */
export async function runSession(
  lines: OutputLines,
  options: Omit<CommandOptions, "print">,
): Promise<void> {
  const commands = new Commands(lines, { ...options, print: writeOut });
  if (Deno.stdin.isTerminal()) await fromTerminal(commands);
  else await fromPipe(commands);
}

async function fromPipe(commands: Commands): Promise<void> {
  writeOut(PROMPT);
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of input()) {
    const pieces = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = pieces.pop()!;
    for (const line of pieces) {
      if (!await commands.run(line)) return;
      writeOut(PROMPT);
    }
  }
  // A last line without a line feed.
  if (rest.trim() !== "") await commands.run(rest);
}

async function fromTerminal(commands: Commands): Promise<void> {
  const editor = new LineEditor({
    prompt: PROMPT,
    completer: commands,
    show: writeOut,
    columns: terminalColumns,
  });
  // Between lines signals end the program as usual; during one, the terminal is
  // restored first.
  using terminal = new RawTerminal();
  terminal.enter();
  editor.begin();
  for await (const chunk of input()) {
    for (const event of editor.feed(chunk)) {
      terminal.leave();
      if (event.kind === "end" || !await commands.run(event.text)) return;
      terminal.enter();
      editor.begin();
    }
  }
}

async function* input(): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(4096);
  for (;;) {
    const count = await Deno.stdin.read(buffer);
    if (count === null) return;
    yield buffer.subarray(0, count);
  }
}

function terminalColumns(): number {
  try {
    // 0 if the terminal's size is unknown.
    return Deno.consoleSize().columns || USUAL_COLUMNS;
  } catch {
    return USUAL_COLUMNS;
  }
}

const ENDING: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** The terminal's raw mode, which is ended on every exit of the program. */
class RawTerminal implements Disposable {
  #raw = false;
  readonly #handlers = ENDING.map((signal) => {
    const handler = () => {
      this.leave();
      Deno.kill(Deno.pid, signal);
    };
    return { signal, handler };
  });

  /** Reads keys one by one from here on. */
  enter(): void {
    if (this.#raw) return;
    Deno.stdin.setRaw(true, { cbreak: true });
    this.#raw = true;
    for (const { signal, handler } of this.#handlers) {
      Deno.addSignalListener(signal, handler);
    }
  }

  /** Restores the terminal. */
  leave(): void {
    if (!this.#raw) return;
    Deno.stdin.setRaw(false);
    this.#raw = false;
    for (const { signal, handler } of this.#handlers) {
      Deno.removeSignalListener(signal, handler);
    }
  }

  [Symbol.dispose](): void {
    this.leave();
  }
}
