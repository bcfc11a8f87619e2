/**
 * `gpioagg probe`: shows a guest's view of a vhost-user socket, and acts as a
 * guest there.
 *
 * @module
 */
import { NotThereError } from "../not_there.ts";
import { nearest } from "../../text/nearest.ts";
import { runTool, writeOut } from "../../tools/program/output.ts";
import {
  INTERRUPT_NAMES,
  PROBE_OPTIONS,
  type ProbeArguments,
  readProbeArguments,
} from "../arguments/probe_arguments.ts";
import { formatTable } from "../output/table.ts";
import { helpText } from "../usage/help_text.ts";
import type { CommandUsage } from "../usage/usage.ts";
import {
  Direction,
  EventStatus,
  GpioDriver,
  type IrqType,
} from "../../vhost_frontend/driver.ts";
import {
  ConnectFailedError,
  ConnectionError,
  RequestRefused,
  WaitTimeoutError,
} from "../../vhost_frontend/errors.ts";
import {
  featureNames,
  protocolFeatureNames,
} from "../../vhost_frontend/features.ts";
import { Frontend } from "../../vhost_frontend/frontend.ts";
import { socketSuggestion } from "../../client/similar_socket.ts";
import {
  printable,
  printableBlock,
  printableJson,
} from "../../text/printable.ts";

/** The command line. */
export const USAGE = {
  name: "probe",
  synopsis: ["SOCKET [OPTION...]"],
  about:
    `Connects to a vhost-user backend as a virtual machine would and shows what a
guest sees there: features, lines, directions, levels. A backend serves one
frontend at a time: this does not work while a VM is connected.`,
  operands: ["file"],
  options: PROBE_OPTIONS,
  after: `NAME is a line's name, or its number where no line has that name.
Whether a set line keeps its value at the end is the backend's rule for a guest
that disconnects.`,
} as const satisfies CommandUsage;

/**
 * Runs the command: returns 0 if everything was done; otherwise an error
 * reports what was not.
 */
export function main(
  args: readonly string[],
  programName: string,
): Promise<number> {
  return runTool(programName, () => {
    const given = readProbeArguments(args);
    if (given.help) {
      writeLine(helpText(USAGE));
      return 0;
    }
    using frontend = open(given);
    new Probe(given, frontend).run();
    return 0;
  });
}

function open(given: ProbeArguments): Frontend {
  const { socket, order, timeoutMs } = given;
  try {
    return Frontend.open(socket, { order, timeoutMs });
  } catch (cause) {
    // So far no message was sent that a backend could reject: if it stays
    // silent or disconnects, it serves another frontend.
    if (cause instanceof WaitTimeoutError && socket.endsWith(".control")) {
      throw new Error(
        `${cause.message} from ${socket}: it is a control socket, as gpioagg ` +
          "sim uses; the vhost-user socket is beside it",
        { cause },
      );
    }
    if (cause instanceof WaitTimeoutError) {
      throw new Error(
        `${cause.message} from ${socket}: either it is busy with another ` +
          "frontend (a VM that runs?), or it is not a vhost-user backend",
        { cause },
      );
    }
    const isConnectFailure = cause instanceof ConnectFailedError;
    if (cause instanceof ConnectionError && !isConnectFailure) {
      throw new Error(
        `${cause.message}: either it is busy with another frontend and ` +
          "serves one at a time, or it is not a vhost-user backend",
        { cause },
      );
    }
    const suggestion = socketSuggestion(socket);
    if (!(cause instanceof ConnectionError) || suggestion === "") throw cause;
    throw new ConnectionError(`${cause.message}${suggestion}`, { cause });
  }
}

const DIRECTION_NAMES = {
  [Direction.None]: "none",
  [Direction.Output]: "output",
  [Direction.Input]: "input",
} as const;

/** A line in its initial state. */
interface LineState {
  readonly lineNumber: number;
  readonly name: string;
  readonly direction: Direction;
  /** Absent if the device refuses to report it. */
  readonly value: number | undefined;
}

class Probe {
  readonly #given: ProbeArguments;
  readonly #frontend: Frontend;
  readonly #driver: GpioDriver;
  readonly #names: readonly string[];

  constructor(given: ProbeArguments, frontend: Frontend) {
    this.#given = given;
    this.#frontend = frontend;
    this.#driver = GpioDriver.attach(frontend);
    this.#names = this.#driver.names();
  }

  run(): void {
    const { actions, monitor, interrupt, quiet } = this.#given;
    // All names are resolved before any line is changed.
    const lines = actions.map((action) => this.#find(action.line));
    const watched = monitor?.map((name) => this.#find(name));
    if (monitor !== undefined && this.#driver.events === undefined) {
      throw new Error(
        `Cannot monitor ${this.#given.socket}: the device has no interrupts ` +
          "(VIRTIO_GPIO_F_IRQ is not offered)",
      );
    }
    if (!quiet) this.#showDevice();
    actions.forEach((action, index) => {
      const lineNumber = lines[index]!;
      if (action.kind === "get") {
        this.#show("get", lineNumber, this.#driver.getValue(lineNumber));
        return;
      }
      const { value } = action;
      this.#driver.setOutput(lineNumber, value, Direction.Output);
      if (!quiet) this.#show("set", lineNumber, value);
    });
    if (watched !== undefined) this.#monitor(watched, interrupt);
  }

  /**
   * Returns a line's number by its name, or by its number if no name matches.
   */
  #find(key: string): number {
    const byName = this.#names.indexOf(key);
    if (byName >= 0 && key !== "") return byName;
    if (/^\d{1,5}$/.test(key) && Number(key) < this.#driver.lineCount) {
      return Number(key);
    }
    const near = nearest(key, this.#names.filter((name) => name !== ""));
    throw new NotThereError(
      `The device has no line "${key}"`,
      `It has ${this.#driver.lineCount} lines; ` +
        "gpioagg probe SOCKET shows them",
      near,
    );
  }

  #label(lineNumber: number): string {
    return printable(this.#names[lineNumber]!) || String(lineNumber);
  }

  #lines(): LineState[] {
    return this.#names.map((name, lineNumber) => ({
      lineNumber,
      name,
      direction: this.#driver.getDirection(lineNumber),
      value: orRefused(() => this.#driver.getValue(lineNumber)),
    }));
  }

  #showDevice(): void {
    const { offeredFeatures, offeredProtocolFeatures } = this.#frontend;
    const device = {
      socket: this.#given.socket,
      features: featureNames(offeredFeatures),
      protocolFeatures: protocolFeatureNames(offeredProtocolFeatures),
      queues: this.#frontend.backendQueueCount ?? null,
      memorySlots: this.#frontend.memorySlots ?? null,
      lines: this.#driver.lineCount,
      namesBytes: this.#driver.namesBytes,
    };
    const lines = this.#lines();
    const interrupts = this.#driver.events !== undefined;
    if (this.#given.json) {
      writeJson("device", device);
      for (const line of lines) {
        writeJson("line", {
          line: line.lineNumber,
          name: line.name,
          direction: DIRECTION_NAMES[line.direction],
          value: line.value ?? null,
          interrupt: interrupts ? this.#chooseInterrupt(line) : null,
        });
      }
      return;
    }
    writeLine([
      `virtio-gpio device at ${device.socket}`,
      wrapped("features", device.features),
      wrapped("protocol features", device.protocolFeatures),
      `  ${"queues".padEnd(LABEL_WIDTH)}${device.queues ?? "not reported"}`,
      `  ${"config".padEnd(LABEL_WIDTH)}${device.lines} lines, ` +
      (device.namesBytes === 0
        ? "no names"
        : `${device.namesBytes} bytes of names`),
      "",
      formatTable([
        ["LINE", "NAME", "DIRECTION", "VALUE", "INTERRUPT"],
        ...lines.map((line) => [
          String(line.lineNumber),
          printable(line.name) || "-",
          DIRECTION_NAMES[line.direction],
          String(line.value ?? "?"),
          interrupts ? this.#chooseInterrupt(line) : "-",
        ]),
      ]),
    ].join("\n"));
  }

  /**
   * Returns the interrupt type that this program is about to request of a line.
   */
  #chooseInterrupt({ lineNumber, direction }: LineState): string {
    const { monitor, interrupt } = this.#given;
    if (monitor === undefined) return "none";
    const watched = monitor.length === 0
      ? direction === Direction.Input
      : monitor.some((key) => this.#find(key) === lineNumber);
    return watched ? interruptName(interrupt) : "none";
  }

  #show(kind: "get" | "set", lineNumber: number, value: number): void {
    if (this.#given.json) {
      writeJson(kind, {
        line: lineNumber,
        name: this.#names[lineNumber],
        value,
      });
    } else writeLine(`${this.#label(lineNumber)}=${value}`);
  }

  #monitor(named: readonly number[], type: IrqType): void {
    const driver = this.#driver;
    const lines = named.length > 0 ? [...new Set(named)] : this.#names.keys()
      .filter((line) => driver.getDirection(line) === Direction.Input)
      .toArray();
    if (lines.length === 0) {
      throw new Error(
        "Nothing to monitor: no line is an input; name lines with " +
          "--monitor=NAME",
      );
    }
    const { capacity } = driver.events!;
    if (lines.length > capacity) {
      throw new Error(
        `Cannot monitor ${lines.length} lines at once: the event queue has ` +
          `room for ${capacity}; name fewer with --monitor=NAME`,
      );
    }
    // As Linux does for a consumer that requests an interrupt.
    for (const line of lines) {
      driver.setDirection(line, Direction.Input);
      driver.setInterruptType(line, type);
      driver.arm(line);
    }
    // Readers of a stream learn from when on they miss nothing.
    if (this.#given.json && !this.#given.quiet) writeJson("monitor", { lines });
    for (let left = this.#given.eventCount || Infinity; left > 0;) {
      const event = driver.waitEvent(IDLE_WAIT_MS);
      if (event === undefined) continue;
      // Read before the buffer is returned, as a guest's handler does.
      const { lineNumber, status } = event;
      if (status === EventStatus.Valid) {
        this.#showEvent(lineNumber, driver.getValue(lineNumber), type);
        left--;
      }
      driver.arm(lineNumber);
    }
    for (const line of lines) driver.setInterruptType(line, IRQ_NONE);
  }

  #showEvent(lineNumber: number, value: number, type: IrqType): void {
    const time = new Date().toISOString();
    const name = this.#names[lineNumber]!;
    if (this.#given.json) {
      writeJson("event", {
        time,
        line: lineNumber,
        name,
        interrupt: interruptName(type),
        value,
      });
      return;
    }
    writeLine(
      `${time}  ${this.#label(lineNumber)}  ${interruptName(type)}  ` +
        `now ${value}`,
    );
  }
}

const IRQ_NONE = INTERRUPT_NAMES["none"]!;
/** Longest single wait of an unlimited one. **Units**: milliseconds. */
const IDLE_WAIT_MS = 3_600_000;
const LABEL_WIDTH = 19;
const TEXT_WIDTH = 80;

function interruptName(type: IrqType): string {
  return Object.entries(INTERRUPT_NAMES).find(([, each]) => each === type)![0];
}

function orRefused(read: () => number): number | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof RequestRefused) return undefined;
    throw error;
  }
}

function writeLine(text: string): void {
  writeOut(`${printableBlock(text)}\n`);
}

function writeJson(type: string, fields: object): void {
  writeLine(printableJson({ type, ...fields }));
}

function wrapped(label: string, words: readonly string[]): string {
  const indent = " ".repeat(LABEL_WIDTH + 2);
  const rows: string[] = [];
  let row = `  ${label.padEnd(LABEL_WIDTH)}`;
  for (const [index, word] of words.entries()) {
    const last = index === words.length - 1;
    const piece = last ? word : `${word}, `;
    if (row.length + piece.length > TEXT_WIDTH && row.trim() !== "") {
      rows.push(row.trimEnd());
      row = indent;
    }
    row += piece;
  }
  return [...rows, words.length === 0 ? `${row}none` : row].join("\n");
}
