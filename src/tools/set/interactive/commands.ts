/**
 * The commands of `set --interactive`: `get`, `set`, `toggle`, `sleep`, `help`
 * and `exit`.
 *
 * @module
 */
import type { Value } from "../../../line/value.ts";
import { quoted, valueText } from "../../lines/line_text.ts";
import { parseValue } from "../../lines/line_values.ts";
import { periodUs } from "../../program/numbers.ts";
import { outputJson, type OutputLines } from "../../lines/output_lines.ts";
import { ToolError } from "../../program/tool_error.ts";

/** Dependencies of commands besides the lines. */
export interface CommandOptions {
  readonly unquoted: boolean;
  readonly json: boolean;
  /** Prints whole lines. */
  readonly print: (text: string) => void;
  /** Time for which a value is held before the next command. */
  readonly holdUs: number;
  /** Reports a line that could not be set; the lines stay held. */
  readonly report: (error: ToolError) => void;
  /** Waits, in microseconds. */
  readonly sleep: (us: number) => Promise<void>;
}

const HELP = `COMMANDS:

    exit
        Release the lines and exit
    get [line]...
        Show the values of lines; all lines if none is named
    help
        Show this help
    set <line=value>...
        Set lines
    sleep <period>
        Wait before the next command
    toggle [line]...
        Set lines to the opposite; all lines if none is named
`;
const COMMANDS = ["exit", "get", "help", "set", "sleep", "toggle"];
const VALUE_WORDS = ["active", "inactive"];

/** A word of a command: a line or `line=value`. */
interface Word {
  /** The line, without its quotes. */
  readonly id: string;
  /** Text after the equal sign; undefined if there is none. */
  readonly value: string | undefined;
  /** The word as it was written. */
  readonly source: string;
}

/** Failure of a command, as its message. */
class CommandError extends Error {}

/** Runs commands on lines. */
export class Commands {
  readonly #lines: OutputLines;
  readonly #options: CommandOptions;

  /** Takes the lines to work on. */
  constructor(lines: OutputLines, options: CommandOptions) {
    this.#lines = lines;
    this.#options = options;
  }

  /**
   * Runs one command.
   *
   * @returns True if further commands are accepted.
   * @throws Errors of waiting. An invalid command, and a line that cannot be
   * set, are only reported.
   */
  async run(text: string): Promise<boolean> {
    const [command, rest] = splitCommand(text);
    try {
      switch (command) {
        case "":
          return true;
        case "exit":
          return false;
        case "help":
          this.#options.print(HELP);
          return true;
        case "get":
          this.#get(words(rest));
          return true;
        case "set":
          await this.#set(words(rest));
          return true;
        case "toggle":
          await this.#toggle(words(rest));
          return true;
        case "sleep":
          await this.#sleep(rest.trim());
          return true;
        default:
          throw new CommandError(
            `unknown command: '${command}'\nTry the 'help' command`,
          );
      }
    } catch (error) {
      if (error instanceof CommandError) {
        this.#options.print(`${error.message}\n`);
      } else if (error instanceof ToolError) this.#options.report(error);
      else throw error;
      return true;
    }
  }

  #get(named: readonly Word[]): void {
    const { unquoted, json, print } = this.#options;
    const shown = this.#select(named);
    if (json) {
      print(shown.map((index) => outputJson(this.#lines, index)).join(""));
    } else {
      const values = shown.map((index) => {
        const name = quoted(this.#lines.ids[index]!, unquoted);
        return `${name}=${valueText(this.#lines.outputValue(index))}`;
      });
      print(values.join(" ") + "\n");
    }
  }

  async #set(given: readonly Word[]): Promise<void> {
    if (given.length === 0) {
      throw new CommandError("at least one GPIO line value must be specified");
    }
    const wanted = given.map(({ value, source }) => {
      const word = parseValue(value ?? "");
      if (word === undefined) {
        throw new CommandError(`invalid line value: '${value ?? source}'`);
      }
      return word;
    });
    const indices = this.#select(given);
    await this.#hold(new Map(indices.map((index, i) => [index, wanted[i]!])));
  }

  async #toggle(named: readonly Word[]): Promise<void> {
    await this.#hold(
      new Map(
        this.#select(named).map((index) => [
          index,
          this.#lines.outputValue(index) === 1 ? 0 : 1,
        ]),
      ),
    );
  }

  async #hold(values: ReadonlyMap<number, Value>): Promise<void> {
    this.#lines.setValues(values);
    const { holdUs, sleep } = this.#options;
    if (holdUs > 0) await sleep(holdUs);
  }

  async #sleep(text: string): Promise<void> {
    if (text === "") throw new CommandError("a period must be specified");
    if (/\s/.test(text)) {
      throw new CommandError("only one period can be specified");
    }
    const us = periodUs(text);
    if (us === undefined) throw new CommandError(`invalid period: '${text}'`);
    await this.#options.sleep(us);
  }

  /** Returns the indices of the named lines, or of all if none is named. */
  #select(named: readonly Word[]): number[] {
    const { ids } = this.#lines;
    if (named.length === 0) return ids.map((_, index) => index);
    const indices = named.map(({ id }) => ids.indexOf(id));
    const unknown = named.filter((_, i) => indices[i] === -1);
    if (unknown.length > 0) {
      throw new CommandError(
        unknown.map(({ id }) => `unknown line: '${id}'`).join("\n"),
      );
    }
    return indices;
  }

  /** Returns the possible completions of `before`: see `Completer`. */
  complete(before: string): { start: number; words: string[] } {
    const [command, rest] = splitCommand(before);
    if (!/\s/.test(before.trimStart())) {
      const start = before.length - command.length;
      return { start, words: startingWith(command, COMMANDS, " ") };
    }
    const start = lastWordStart(rest) + before.length - rest.length;
    const typed = before.slice(start);
    if (!["get", "set", "toggle"].includes(command)) {
      return { start, words: [] };
    }
    const equals = typed.lastIndexOf("=");
    if (command === "set" && equals >= 0) {
      const value = typed.slice(equals + 1);
      return {
        start: start + equals + 1,
        words: startingWith(value, VALUE_WORDS, " "),
      };
    }
    const used = new Set(tolerantWords(before.slice(0, start), command));
    const quotedToo = typed.startsWith('"');
    const names = this.#lines.ids.filter((id) => !used.has(id)).map((id) =>
      quotedToo || /\s/.test(id) ? `"${id}"` : id
    );
    // A name that needs quotes gets them.
    const found = startingWith(typed, names, command === "set" ? "=" : " ");
    return { start, words: found };
  }
}

function splitCommand(text: string): [command: string, rest: string] {
  const [, command = "", rest = ""] = /^\s*(\S*)([^]*)$/.exec(text) ?? [];
  return [command, rest];
}

/** A word begins with a quoted name, or extends to the next blank. */
const WORD = /\s*(?:"([^"]*)"(?:=(\S*))?(?=\s|$)|(\S+))/y;

function words(text: string): Word[] {
  const found: Word[] = [];
  const trimmed = text.trimEnd();
  WORD.lastIndex = 0;
  while (WORD.lastIndex < trimmed.length) {
    const [source, name, value, plain] = WORD.exec(trimmed)!;
    if (plain === undefined) {
      found.push({ id: name!, value, source: source.trim() });
    } else {
      if (plain.startsWith('"')) {
        throw new CommandError(`invalid line id: '${plain}'`);
      }
      const equals = plain.lastIndexOf("=");
      found.push(
        equals < 0 ? { id: plain, value: undefined, source: plain } : {
          id: plain.slice(0, equals),
          value: plain.slice(equals + 1),
          source: plain,
        },
      );
    }
  }
  return found;
}

/** Returns the lines that a possibly unfinished command names so far. */
function tolerantWords(text: string, command: string): string[] {
  try {
    return words(text.trimStart().slice(command.length)).map(({ id }) => id);
  } catch (error) {
    if (error instanceof CommandError) return [];
    throw error;
  }
}

/**
 * Returns the beginning of the last word of the text; blanks in quotes do not
 * end one.
 */
function lastWordStart(text: string): number {
  let start = 0;
  let inQuotes = false;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '"') inQuotes = !inQuotes;
    else if (!inQuotes && /\s/.test(text[at]!)) start = at + 1;
  }
  return start;
}

function startingWith(
  typed: string,
  candidates: readonly string[],
  follow: string,
): string[] {
  return candidates.filter((word) => word.startsWith(typed)).map((word) =>
    word + follow
  );
}
