/**
 * Comma-separated values by RFC 4180, with Unix line ends.
 *
 * @module
 */

/** Formats one row; fields with commas, quotes or line ends are quoted. */
export function csvRow(fields: readonly (string | number)[]): string {
  const cells = fields.map((field) => {
    const text = `${field}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  });
  return cells.join(",") + "\n";
}

/** Longest field of a table that is read. **Units**: UTF-16 code units. */
const MAX_FIELD = 4096;
/** Most fields of a row that is read. */
const MAX_FIELDS = 64;

/** A table that is not comma-separated values, or too large. */
export class CsvError extends Error {
  /** Distinguishes it from other errors. */
  override readonly name = "CsvError";
}

/** Reads rows from text that comes piece by piece. */
export class CsvReader {
  readonly #onRow: (fields: readonly string[]) => void;
  #fields: string[] = [];
  #field = "";
  #isQuoted = false;
  /** Set after a quote within a quoted field: its end, or half of a quote. */
  #isAfterQuote = false;

  /** Begins; `onRow` gets each row that is not empty. */
  constructor(onRow: (fields: readonly string[]) => void) {
    this.#onRow = onRow;
  }

  /**
   * Reads a piece.
   *
   * @throws {CsvError} If a field or a row is too long.
   */
  push(text: string): void {
    let start = 0;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      const isQuote = code === 0x22;
      if (this.#isQuoted) {
        if (!isQuote) continue;
        this.#add(text.slice(start, at));
        start = at + 1;
        this.#isQuoted = false;
        this.#isAfterQuote = true;
        continue;
      }
      const isAfterQuote = this.#isAfterQuote;
      this.#isAfterQuote = false;
      if (isQuote) {
        this.#add(text.slice(start, at) + (isAfterQuote ? '"' : ""));
        start = at + 1;
        this.#isQuoted = true;
      } else if (code === 0x2c || code === 0x0a) {
        this.#add(text.slice(start, at));
        start = at + 1;
        this.#endField();
        if (code === 0x0a) this.#endRow();
      }
    }
    this.#add(text.slice(start));
  }

  /**
   * Ends the table: the last row may lack its line end.
   *
   * @throws {CsvError} If it ends within quotes.
   */
  end(): void {
    if (this.#isQuoted) throw new CsvError("it ends within quotes");
    if (this.#field === "" && this.#fields.length === 0) return;
    this.#endField();
    this.#endRow();
  }

  #add(text: string): void {
    if (this.#field.length + text.length > MAX_FIELD) {
      throw new CsvError(`a field is longer than ${MAX_FIELD} characters`);
    }
    this.#field += text;
  }

  #endField(): void {
    if (this.#fields.length === MAX_FIELDS) {
      throw new CsvError(`a row has more than ${MAX_FIELDS} fields`);
    }
    this.#fields.push(this.#field);
    this.#field = "";
  }

  #endRow(): void {
    const last = this.#fields.length - 1;
    // Windows line ends.
    this.#fields[last] = this.#fields[last]!.replace(/\r$/, "");
    if (last > 0 || this.#fields[0] !== "") this.#onRow(this.#fields);
    this.#fields = [];
  }
}
