/**
 * A YAML document as a tree of nodes, each with its text and its position.
 *
 * Scalars stay the text that was written: its meaning is for the code that
 * reads it to say, so that a serial number `0123` never turns into 83.
 *
 * @module
 */
import { parse } from "@std/yaml";
import type { ConfigPosition } from "./config_error.ts";
import { LineIndex } from "./line_index.ts";
import type { Problems } from "./problems.ts";
import {
  MAX_YAML_DEPTH,
  scanYaml,
  type YamlEntry,
  type YamlNode,
} from "./yaml_positions.ts";
import {
  CONTROL_CHARACTER,
  copiedCharacter,
  missingBlank,
  unclosedFault,
  yamlFault,
} from "./yaml_errors.ts";

/** Characters that a YAML text cannot have. **Source**: YAML 1.2.2, 5.1. */
const CONTROL_CHARACTERS =
  // deno-lint-ignore no-control-regex
  /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]/;

/** Null without quotes. **Source**: YAML 1.2.2, 10.2.1.1. */
const NULL_SOURCE = /^(null|Null|NULL|~|)$/;

/** Length of a text that is quoted in a message. **Units**: UTF-16 units. */
const SHOWN_TEXT = 60;

/** Kind of a node. */
type NodeKind = "map" | "list" | "text" | "empty";

/** A key of a mapping, with its value. */
export interface ConfigEntry {
  readonly key: string;
  /** True for a key that YAML reads as null: no text, unlike a number's digits. */
  readonly isNullKey: boolean;
  /** Place of the key. */
  readonly position: ConfigPosition;
  readonly node: ConfigNode;
}

/** Properties that all nodes of one document share. */
interface Document {
  readonly file: string;
  readonly source: string;
  readonly index: LineIndex;
  readonly problems: Problems;
  /** Mappings whose merges are being read, to find one that merges itself. */
  readonly merging: Set<YamlValue>;
  /** Values that may still be read: aliases multiply what is written once. */
  valuesLeft: number;
}

/**
 * Values that are read of one document, aliases followed, beyond those that its
 * text can hold: a few hundred aggregators may share one list of lines.
 */
const MAX_ALIASED_VALUES = 50_000;

/** Value that `@std/yaml` makes of a document when every scalar is text. */
type YamlValue = string | null | YamlValue[] | { [key: string]: YamlValue };

const KIND_WORDS = {
  map: "a mapping",
  list: "a list",
  empty: "nothing",
} as const;

/** One value of the document. */
export class ConfigNode {
  readonly kind: NodeKind;
  readonly position: ConfigPosition;
  readonly #document: Document;
  readonly #value: YamlValue;
  /** Structure of its inside; undefined where that could not be found. */
  readonly #inside: YamlNode | undefined;
  readonly #isQuoted: boolean;
  readonly #isContinued: boolean;
  #entries: ConfigEntry[] | undefined;

  private constructor(
    document: Document,
    value: YamlValue,
    yamlNode: YamlNode | undefined,
    fallback: ConfigPosition,
  ) {
    this.#document = document;
    this.#value = value;
    this.kind = detectKind(value);
    this.#isQuoted = yamlNode !== undefined &&
      /["'|>&!*]/.test(document.source[yamlNode.offset] ?? "");
    this.#isContinued = yamlNode?.kind === "scalar" && !this.#isQuoted &&
      this.text.includes(" ") && /[\r\n]/.test(
        document.source.slice(yamlNode.offset, yamlNode.end).trimEnd(),
      );
    this.#inside = matching(yamlNode, this.kind);
    // Nothing is written: the key before it is the nearest position there is.
    this.position = yamlNode === undefined || yamlNode.kind === "empty"
      ? fallback
      : { ...fallback, ...document.index.at(yamlNode.offset) };
  }

  /**
   * Reads a document. Its values are looked at only when they are asked for,
   * so a document that refers to itself does no harm.
   *
   * @returns undefined if the text is not YAML; `problems` has the reason.
   */
  static parse(
    source: string,
    file: string,
    problems: Problems,
  ): ConfigNode | undefined {
    const text = source.replace(/^\ufeff/, "");
    const index = new LineIndex(text);
    const start = { file, line: 1, column: 1, path: "" };
    const { structure, loss } = scanYaml(text);
    if (loss?.isTooDeep) {
      problems.add(
        start,
        `its values are nested deeper than ${MAX_YAML_DEPTH} levels`,
        "A configuration needs less than ten",
      );
      return undefined;
    }
    if (structure?.secondDocument !== undefined) {
      problems.add(
        { ...start, ...index.at(structure.secondDocument) },
        "a second document begins here",
        "A configuration is one document; remove the --- or ... before this",
      );
      return undefined;
    }
    if (structure?.tab !== undefined) {
      problems.add(
        { ...start, ...index.at(structure.tab) },
        "there is a tab in the indentation",
        "YAML is indented with spaces",
      );
      return undefined;
    }
    const copied = copiedCharacter(text);
    if (copied !== undefined) {
      const { offset, fault } = copied;
      const position = { ...start, ...index.at(offset) };
      problems.add(position, fault.problem, fault.hint);
      return undefined;
    }
    let value: YamlValue;
    try {
      value = parse(text, {
        schema: "failsafe",
        // The scanner finds all of them, with their positions.
        allowDuplicateKeys: structure !== undefined,
      }) as YamlValue;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const control = text.search(CONTROL_CHARACTERS);
      const unclosed = loss?.unclosed;
      const mark = extractMark(error);
      const [fault, position] = control >= 0
        ? [CONTROL_CHARACTER, index.at(control)]
        : unclosed !== undefined
        ? [unclosedFault(text[unclosed]!), index.at(unclosed)]
        : missingBlank(text, mark.line) ?? [yamlFault(error.message), mark];
      problems.add(
        { ...start, ...position },
        `this is not valid YAML: ${fault.problem}`,
        fault.hint,
        error,
      );
      return undefined;
    }
    return new ConfigNode(
      {
        file,
        source: text,
        index,
        problems,
        merging: new Set(),
        // One value takes two characters at least.
        valuesLeft: MAX_ALIASED_VALUES + text.length / 2,
      },
      value,
      structure?.root,
      start,
    );
  }

  /** True for a scalar in quotes. */
  get isQuoted(): boolean {
    return this.#isQuoted;
  }

  /** True for a mapping or list in brackets. */
  get isFlow(): boolean {
    const offset = this.#inside?.offset;
    return offset !== undefined &&
      /[[{]/.test(this.#document.source[offset] ?? "");
  }

  /** True for a scalar without quotes that further lines continue. */
  get isContinued(): boolean {
    return this.#isContinued;
  }

  /** The text of a scalar; empty for anything else. */
  get text(): string {
    return typeof this.#value === "string" ? this.#value : "";
  }

  /** Description for a message: `a list`. */
  get description(): string {
    if (this.kind !== "text") return KIND_WORDS[this.kind];
    const { text } = this;
    // It may be a whole file that is not a configuration, and none of ours.
    return text.length <= SHOWN_TEXT
      ? `"${text}"`
      : `"${text.slice(0, SHOWN_TEXT)}…"`;
  }

  /** The members of a list; none of anything else. */
  items(): ConfigNode[] {
    if (!Array.isArray(this.#value) || !this.#mayRead(this.#value.length)) {
      return [];
    }
    const yamlNodes = this.#inside?.kind === "list" ? this.#inside.items : [];
    return this.#value.map((value, i) =>
      new ConfigNode(this.#document, value, yamlNodes[i], {
        ...this.position,
        path: `${this.position.path}[${i}]`,
      })
    );
  }

  /**
   * The keys of a mapping, in order, those that `<<` brings in behind the
   * others; none of anything else. Reports keys that are given twice.
   */
  entries(): readonly ConfigEntry[] {
    this.#entries ??= this.#readEntries();
    return this.#entries;
  }

  #readEntries(): ConfigEntry[] {
    const value = this.#value;
    if (value === null || typeof value !== "object" || Array.isArray(value)) {
      return [];
    }
    // Before the members are listed: an alias may stand for many.
    if (!this.#mayRead(0)) return [];
    const members = Object.entries(value);
    if (!this.#mayRead(members.length)) return [];
    const yamlEntries = this.#yamlEntries();
    const entries = members.map(([key, member]) => {
      const yamlEntry = yamlEntries.get(key);
      const path = childPath(this.position.path, key);
      const position = yamlEntry === undefined ? { ...this.position, path } : {
        ...this.position,
        ...this.#document.index.at(yamlEntry.keyOffset),
        path,
      };
      const node = new ConfigNode(
        this.#document,
        member,
        yamlEntry?.value,
        position,
      );
      const isNullKey = yamlEntry !== undefined &&
        NULL_SOURCE.test(yamlEntry.keySource);
      return { key, isNullKey, position, node };
    });
    if (!("<<" in value)) return entries;
    if (this.#document.merging.has(value)) {
      this.#document.problems.add(this.position, "this mapping merges itself");
      return [];
    }
    this.#document.merging.add(value);
    try {
      return this.#merged(entries);
    } finally {
      this.#document.merging.delete(value);
    }
  }

  /**
   * False, and a problem of the document, once too much was read of it; false
   * also if it has so many problems that no more are shown.
   */
  #mayRead(count: number): boolean {
    const document = this.#document;
    if (document.valuesLeft < 0 || document.problems.isFull) return false;
    document.valuesLeft -= count;
    if (document.valuesLeft >= 0) return true;
    document.problems.add(
      this.position,
      `its aliases stand for more than ${MAX_ALIASED_VALUES} values`,
      "Write less by aliases (*name) and merges (<<)",
    );
    return false;
  }

  /** Each key's position; of a key that is given twice, the last one's. */
  #yamlEntries(): Map<string, YamlEntry> {
    const yamlEntries = new Map<string, YamlEntry>();
    const entries = this.#inside?.kind === "map" ? this.#inside.entries : [];
    for (const entry of entries) {
      const key = keyText(entry.keySource);
      if (key === undefined) continue;
      const first = yamlEntries.get(key);
      if (first !== undefined) {
        const { index, problems } = this.#document;
        problems.add(
          {
            ...this.position,
            ...index.at(entry.keyOffset),
            path: childPath(this.position.path, key),
          },
          `the key "${key}" is given twice`,
          `The first one is in line ${index.at(first.keyOffset).line} already`,
        );
      }
      yamlEntries.set(key, entry);
    }
    return yamlEntries;
  }

  /** Adds what the YAML merge key `<<` brings in. */
  #merged(entries: ConfigEntry[]): ConfigEntry[] {
    const merge = entries.find(({ key }) => key === "<<");
    if (merge === undefined) return entries;
    const own = entries.filter((entry) => entry !== merge);
    const taken = new Set(own.map(({ key }) => key));
    const sources = merge.node.kind === "list"
      ? merge.node.items()
      : [merge.node];
    for (const source of sources) {
      if (source.kind !== "map") {
        this.#document.problems.add(
          source.position,
          `expected a mapping to merge, found ${source.description}`,
          "<< is followed by an alias such as *defaults",
        );
      }
      for (const entry of source.entries()) {
        if (taken.has(entry.key)) continue;
        taken.add(entry.key);
        own.push(entry);
      }
    }
    return own;
  }
}

function detectKind(value: YamlValue): NodeKind {
  if (value === null) return "empty";
  if (typeof value === "string") return "text";
  return Array.isArray(value) ? "list" : "map";
}

/** The inside of a YAML node, if it is of the kind that the value is. */
function matching(
  yamlNode: YamlNode | undefined,
  kind: NodeKind,
): YamlNode | undefined {
  let inside = yamlNode;
  while (inside?.kind === "alias") inside = inside.target;
  return inside?.kind === kind ? inside : undefined;
}

function keyText(source: string): string | undefined {
  // Nearly all keys; the parser's say on the others costs more.
  if (/^[\w-]+$/.test(source)) return source;
  try {
    return String(parse(source, { schema: "failsafe" }));
  } catch {
    // An alias as a key: the scanner cannot place it.
    return undefined;
  }
}

/** A key path with one more key. */
function childPath(path: string, key: string): string {
  if (!/^[\w-]+$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}

/** Returns the position where `@std/yaml` failed; its syntax errors carry that. */
function extractMark(error: Error): { line?: number; column?: number } {
  return "line" in error && typeof error.line === "number" &&
      "column" in error && typeof error.column === "number"
    ? { line: error.line, column: error.column }
    : {};
}
