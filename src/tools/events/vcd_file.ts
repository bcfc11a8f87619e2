/**
 * A value change dump that grows while lines are watched.
 *
 * @module
 */
import { O_TRUNC, O_WRONLY } from "../../../ffi/files.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { openOutput, writeWhole } from "../../../ffi/trusted_path.ts";
import { surviveFileSizeLimit } from "../../async/file_size_limit.ts";
import type { Value } from "../../line/value.ts";
import type { Edge } from "./edge_reader.ts";
import { type ByteSink, writeAll } from "../program/output.ts";
import type { SelectedLine } from "../lines/selection.ts";
import { explainError, ToolError } from "../program/tool_error.ts";
import { type Timescale, VcdWriter } from "../../recording/vcd_writer.ts";

const encoder = new TextEncoder();

/** Beginning of a dump. */
interface VcdStart {
  readonly programName: string;
  readonly lines: readonly SelectedLine[];
  /** The lines' values, in the same order. */
  readonly values: readonly Value[];
  /** Nanoseconds of the event clock; undefined if that cannot be read. */
  readonly startNs: bigint | undefined;
  readonly timescale: Timescale;
}

/** A dump in a file, or on standard output. */
export class VcdFile implements Disposable {
  readonly #file: OwnedFd | undefined;
  readonly #sink: ByteSink;
  #writer: VcdWriter | undefined;

  /**
   * Opens and truncates the file; `-` is standard output.
   *
   * @throws {ToolError} If it cannot be written.
   */
  constructor(path: string) {
    if (path === "-") {
      this.#sink = Deno.stdout;
      return;
    }
    surviveFileSizeLimit();
    try {
      const file = openOutput(path, O_WRONLY | O_TRUNC, {
        mode: 0o644,
        // Viewers read a FIFO while it is written.
        kinds: ["fifo", "character device"],
      });
      this.#file = file;
      this.#sink = {
        writeSync(bytes) {
          writeWhole(file, bytes);
          return bytes.length;
        },
      };
    } catch (error) {
      throw new ToolError(`unable to open '${path}': ${explainError(error)}`, {
        cause: error,
      });
    }
  }

  /** Writes the head. */
  begin(start: VcdStart): void {
    const wires = start.lines.map(({ id, chip, info }, i) => ({
      name: info.name ||
        (id.includes("/") ? id : `${chip.name}_${info.offset}`),
      value: start.values[i]!,
    }));
    this.#writer = new VcdWriter(wires, start.startNs, start.timescale);
    this.#write(this.#writer.header(start.programName, new Date()));
  }

  /** Writes edges at once. */
  add(edges: readonly Edge[]): void {
    const writer = this.#writer!;
    let text = "";
    for (const { line, value, timestampNs, lost } of edges) {
      if (lost > 0) text += writer.gap(line, timestampNs);
      text += writer.change(line, value, timestampNs);
    }
    this.#write(text + writer.tail());
  }

  /** Writes that nothing has changed up to now, on the event clock. */
  end(nowNs: bigint): void {
    this.#write(this.#writer!.end(nowNs));
  }

  #write(text: string): void {
    writeAll(this.#sink, encoder.encode(text));
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file?.close();
  }
}
