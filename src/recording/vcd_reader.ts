/**
 * Reads Value Change Dumps of any program, piece by piece. Wires of one bit are
 * signals; wider ones, reals and strings are passed over.
 *
 * @module
 */
import {
  type Recording,
  RecordingBuilder,
  RecordingError,
  type Signal,
  type SignalValue,
} from "./recording.ts";
import { printable } from "../text/printable.ts";
import { VcdNames } from "./vcd_names.ts";

/** Longest word of a dump. **Units**: UTF-16 code units. */
const MAX_WORD = 64 * 1024;
/** Most variables that are declared, of any width. */
const MAX_VARIABLES = 1_000_000;
/** Most scopes within each other. */
const MAX_DEPTH = 256;
/** Longest time. **Units**: nanoseconds; 104 days. */
const MAX_NS = Number.MAX_SAFE_INTEGER;
/** Longest name of a wire, and of its scopes. **Units**: UTF-16 code units. */
const MAX_NAME = 1024;
/** Length of a shown word in messages. */
const SHOWN = 40;

/** Powers of ten: nanoseconds are 0. */
const UNITS: Readonly<Record<string, number>> = {
  s: 9,
  ms: 6,
  us: 3,
  ns: 0,
  ps: -3,
  fs: -6,
};

const VALUES: Readonly<Record<string, SignalValue>> = {
  "0": 0,
  "1": 1,
  x: undefined,
  X: undefined,
  z: undefined,
  Z: undefined,
};

/** Keywords within the changes that only mark them. */
const MARKS = new Set([
  "$dumpvars",
  "$dumpall",
  "$dumpon",
  "$dumpoff",
  "$end",
]);

/** Reads one dump. */
export class VcdReader {
  readonly #builder = new RecordingBuilder();
  readonly #names: VcdNames;
  readonly #decoder = new TextDecoder();
  /** Signals by identifier, once all are declared. */
  #wires: ReadonlyMap<string, ReadonlySet<number>> = new Map();
  readonly #scopes: string[] = [];
  /** The scopes as one name. */
  #scope = "";
  /** Words of the declaration that is read; undefined outside of one. */
  #declaration: string[] | undefined;
  #variables = 0;
  #isDefined = false;
  /** Value of a vector, whose identifier follows. */
  #vector: string | undefined;
  #exponent = 0;
  #factor = 1n;
  #tick = 0n;
  #rest = "";
  #line = 1;

  /** Begins; signals for which `isWanted` returns false are passed over. */
  constructor(isWanted: (signal: Signal) => boolean = () => true) {
    this.#names = new VcdNames(isWanted);
  }

  /**
   * Reads a piece of the dump.
   *
   * @throws {RecordingError} If it is not a valid dump, or too large.
   */
  push(bytes: Uint8Array): void {
    this.#words(this.#rest + this.#decoder.decode(bytes, { stream: true }));
  }

  /**
   * Returns the whole recording.
   *
   * @throws {RecordingError} If the dump ends in its declarations.
   */
  end(): Recording {
    this.#words(`${this.#rest}${this.#decoder.decode()}\n`);
    if (!this.#isDefined) this.#fail("it ends before $enddefinitions");
    return this.#builder.recording();
  }

  #words(text: string): void {
    let start = -1;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      const isBlank = code <= 0x20;
      if (!isBlank) {
        if (start < 0) start = at;
        else if (at - start > MAX_WORD) this.#fail("it has a word without end");
        continue;
      }
      if (start >= 0) {
        this.#word(text.slice(start, at));
        start = -1;
      }
      if (code === 0x0a) this.#line++;
    }
    this.#rest = start < 0 ? "" : text.slice(start);
  }

  #word(word: string): void {
    if (this.#declaration !== undefined) return this.#goOn(word);
    if (this.#vector !== undefined) return this.#endVector(word);
    const first = word.charCodeAt(0);
    if (first === 0x24) return this.#keyword(word);
    if (!this.#isDefined) {
      this.#fail(`"${shown(word)}" stands before $enddefinitions`);
    }
    if (first === 0x23) return this.#time(word.slice(1));
    if (/^[bBrRsS]/.test(word)) {
      this.#vector = word;
      return;
    }
    const symbol = word[0]!;
    if (!Object.hasOwn(VALUES, symbol) || word.length === 1) {
      this.#fail(`"${shown(word)}" is not a valid change`);
    }
    this.#change(word.slice(1), VALUES[symbol]);
  }

  #keyword(word: string): void {
    if (this.#isDefined && MARKS.has(word)) return;
    if (word === "$end") this.#fail("$end ends nothing");
    this.#declaration = [word];
  }

  /** Takes the next word of a declaration. */
  #goOn(word: string): void {
    const words = this.#declaration!;
    if (word !== "$end") {
      // Comments and dates may be of any length.
      if (words.length < 8) words.push(word);
      return;
    }
    this.#declaration = undefined;
    const [keyword, ...rest] = words;
    switch (keyword) {
      case "$timescale":
        return this.#timescale(rest.join(""));
      case "$scope":
        if (this.#scopes.length >= MAX_DEPTH) this.#fail("scopes are too deep");
        this.#scopes.push(rest[1] ?? "");
        return this.#enter();
      case "$upscope":
        this.#scopes.pop();
        return this.#enter();
      case "$var":
        if (this.#isDefined) this.#fail("a $var stands behind $enddefinitions");
        return this.#variable(rest);
      case "$enddefinitions":
        this.#isDefined = true;
        this.#wires = this.#names.resolve(this.#builder);
    }
  }

  #enter(): void {
    this.#scope = this.#scopes.join(".");
    if (this.#scope.length > MAX_NAME) {
      this.#fail("names of scopes are too long");
    }
  }

  #timescale(text: string): void {
    const match = /^(1|10|100)(s|ms|us|ns|ps|fs)$/.exec(text);
    if (match === null) {
      this.#fail(`"${shown(text)}" is not a valid timescale`);
    }
    const [, number, unit] = match!;
    this.#exponent = UNITS[unit!]! + number!.length - 1;
    this.#factor = 10n ** BigInt(Math.abs(this.#exponent));
  }

  #variable(
    [kind, size, identifier, name, index = ""]: readonly string[],
  ): void {
    if (name === undefined || identifier === undefined) {
      this.#fail("a $var has no name");
    }
    if (name!.length > MAX_NAME) this.#fail("a name is too long");
    if (++this.#variables > MAX_VARIABLES) {
      this.#fail(`it has more than ${MAX_VARIABLES} variables`);
    }
    if (size !== "1" || kind === "real" || kind === "string") return;
    this.#names.add({
      scope: this.#scope,
      name: name!,
      identifier: identifier!,
      index: /^\[\d{1,9}\]$/.test(index) ? index : "",
    });
  }

  #endVector(identifier: string): void {
    const vector = this.#vector!;
    this.#vector = undefined;
    const digit = vector.slice(1);
    const isBit = /^[bB]/.test(vector) && Object.hasOwn(VALUES, digit);
    if (isBit) this.#change(identifier, VALUES[digit]);
  }

  #change(identifier: string, value: SignalValue): void {
    const signals = this.#wires.get(identifier);
    if (signals === undefined) return;
    for (const signal of signals) this.#builder.change(signal, value);
  }

  #time(digits: string): void {
    if (!/^\d{1,30}$/.test(digits)) {
      this.#fail(`"#${shown(digits)}" is not a valid time`);
    }
    const tick = BigInt(digits);
    if (tick < this.#tick) {
      this.#fail(`the time goes back from #${this.#tick} to #${tick}`);
    }
    this.#tick = tick;
    const ns = this.#exponent < 0 ? tick / this.#factor : tick * this.#factor;
    if (ns > MAX_NS) this.#fail(`#${tick} is later than 104 days`);
    this.#builder.advance(Number(ns));
  }

  #fail(why: string): never {
    throw new RecordingError(`line ${this.#line}: ${why}`);
  }
}

function shown(word: string): string {
  return printable(word, SHOWN);
}
