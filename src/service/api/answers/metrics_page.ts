/**
 * A page of Prometheus' text format, written a metric and a sample at a time.
 *
 * @module
 */
import { printable } from "../../../text/printable.ts";
import { EncodedParts } from "./encoded_parts.ts";

/** Labels of a sample. */
export type Labels = Readonly<Record<string, string | number>>;

/** A page of metrics under construction. */
export class MetricsPage {
  #metric = "";
  #lines: string[] = [];
  readonly #parts = new EncodedParts();

  /** Encodes what was added since the last call. */
  encode(): void {
    if (this.#lines.length === 0) return;
    this.#parts.add(this.#lines.join("\n") + "\n");
    this.#lines = [];
  }

  /** Returns the whole page; yields often. */
  bytes(): Generator<void, Uint8Array> {
    this.encode();
    return this.#parts.joined();
  }

  /** Begins the series of a metric. */
  metric(
    name: string,
    type: "gauge" | "counter" | "histogram",
    help: string,
  ): void {
    this.#metric = name;
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  }

  /** Adds a sample of the metric that was begun last. */
  sample(labels: Labels, value: number, suffix = ""): void {
    const pairs = Object.entries(labels).map(([name, text]) =>
      `${name}="${escaped(String(text))}"`
    );
    const shown = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
    this.#lines.push(`${this.#metric}${suffix}${shown} ${value}`);
  }
}

/** Longest label value. **Units**: UTF-16 code units. */
const LABEL_LIMIT = 1024;

function escaped(text: string): string {
  // The format escapes line feeds only; the rest would reach terminals.
  return printable(text, LABEL_LIMIT).replaceAll("\\", "\\\\").replaceAll(
    '"',
    '\\"',
  );
}
