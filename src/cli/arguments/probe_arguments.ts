/**
 * The command line of `gpioagg probe`. It has a parser of its own, because the
 * order of `--set` and `--get` matters.
 *
 * @module
 */
import { ConfigError } from "../../config/document/config_error.ts";
import { parsePeriodUs } from "../../config/values/values.ts";
import { nearest } from "../../text/nearest.ts";
import { IrqType } from "../../vhost_frontend/driver.ts";
import { ORDER_NAMES, type OrderName } from "../../vhost_frontend/orders.ts";
import { HELP_OPTION, type Options, valueText } from "../usage/usage.ts";

/** One `--set` or `--get`. */
type LineAction =
  | { readonly kind: "set"; readonly line: string; readonly value: number }
  | { readonly kind: "get"; readonly line: string };

/** Settings of the command line. */
export interface ProbeArguments {
  /** True if only the help is requested. */
  readonly help: boolean;
  /** The socket's path. */
  readonly socket: string;
  /** Operations on lines, in order. */
  readonly actions: readonly LineAction[];
  /** Lines to watch; empty: all inputs; absent: do not watch. */
  readonly monitor: readonly string[] | undefined;
  /** Interrupt to wait for. */
  readonly interrupt: IrqType;
  /** Events to print before ending; 0 for no limit. */
  readonly eventCount: number;
  /** Time limit of each answer. **Units**: milliseconds. */
  readonly timeoutMs: number;
  /** Order of messages, by the name of the VMM that uses it. */
  readonly order: OrderName;
  /** Print one JSON object a line. */
  readonly json: boolean;
  /** Print no overview. */
  readonly quiet: boolean;
}

/** Words for interrupt types on the command line and in reports. */
export const INTERRUPT_NAMES: Readonly<Record<string, IrqType>> = {
  none: IrqType.None,
  rising: IrqType.EdgeRising,
  falling: IrqType.EdgeFalling,
  both: IrqType.EdgeBoth,
  high: IrqType.LevelHigh,
  low: IrqType.LevelLow,
};

const LEVELS: Readonly<Record<string, number>> = {
  "0": 0,
  "1": 1,
  low: 0,
  high: 1,
};

/** Options. `--set`, `--get` and `--monitor` can be repeated. */
export const PROBE_OPTIONS = {
  set: {
    kind: "values",
    value: "NAME=VALUE",
    help: "make a line an output: 0 (low) or 1 (high)",
  },
  get: {
    kind: "values",
    value: "NAME",
    help: "read a line; --set and --get run in the given order",
  },
  monitor: {
    kind: "optional",
    value: "NAME",
    help: "print the interrupts of all inputs, or of the lines named (repeat " +
      "for more), until interrupted",
  },
  interrupt: {
    kind: "value",
    value: "TYPE",
    help: "both (edges; default), rising, falling, high, low",
    completes: ["both", "rising", "falling", "high", "low"],
  },
  "num-events": {
    kind: "value",
    short: "n",
    value: "N",
    help: "end after N events",
  },
  timeout: {
    kind: "value",
    value: "PERIOD",
    help: "limit for each answer (default: 2s)",
  },
  order: {
    kind: "value",
    value: "FRONTEND",
    help: `order of messages: ${ORDER_NAMES[0]} (default), ${
      ORDER_NAMES.slice(1).join(", ")
    }`,
    completes: ORDER_NAMES,
  },
  quiet: {
    kind: "flag",
    short: "q",
    help: "print no overview, only the results of --get and --monitor",
  },
  json: {
    kind: "flag",
    help: 'one JSON object a line; that of type "monitor" follows when the ' +
      "interrupts are set up",
  },
  help: HELP_OPTION,
} as const satisfies Options;

/** The same by any name. */
const OPTIONS: Options = PROBE_OPTIONS;

const SHORT: ReadonlyMap<string, string> = new Map(
  Object.entries(OPTIONS).flatMap(([name, { short }]) =>
    short === undefined ? [] : [[short, name]]
  ),
);

interface Switch {
  readonly name: string;
  readonly value: string | undefined;
}

/**
 * Reads the command line.
 *
 * @throws {ConfigError} If it is invalid.
 */
export function readProbeArguments(args: readonly string[]): ProbeArguments {
  const { switches, rest } = split(args);
  const actions: LineAction[] = [];
  const single = new Map<string, string>();
  let monitor: string[] | undefined;
  for (const { name, value = "" } of switches) {
    if (name === "set") actions.push(parseSet(value));
    else if (name === "get") actions.push({ kind: "get", line: value });
    else if (name === "monitor") {
      monitor ??= [];
      if (value !== "") monitor.push(value);
    } else {
      if (single.has(name)) {
        throw new ConfigError("is given twice", { path: `--${name}` });
      }
      single.set(name, value);
    }
  }
  const help = single.has("help");
  const [socket = "", extra] = rest;
  if (!help && socket === "") {
    throw new ConfigError("missing SOCKET argument", {
      hint: "gpioagg probe SOCKET, with the socket of a vhost-user backend",
    });
  }
  if (extra !== undefined) {
    throw new ConfigError(`unexpected argument "${extra}"`, {
      hint: "Lines are named by --set, --get and --monitor=NAME",
    });
  }
  for (const name of ["interrupt", "num-events"]) {
    if (single.has(name) && monitor === undefined) {
      throw new ConfigError("requires --monitor", {
        path: `--${name}`,
      });
    }
  }
  return {
    help,
    socket,
    actions,
    monitor,
    interrupt: parseInterrupt(single.get("interrupt") ?? "both"),
    eventCount: parseCount(single.get("num-events")),
    timeoutMs: parseTimeout(single.get("timeout") ?? "2s"),
    order: parseOrder(single.get("order") ?? "qemu"),
    json: single.has("json"),
    quiet: single.has("quiet"),
  };
}

function split(
  args: readonly string[],
): { switches: Switch[]; rest: string[] } {
  const switches: Switch[] = [];
  const rest: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    if (arg === "--") {
      rest.push(...args.slice(i + 1));
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      rest.push(arg);
      continue;
    }
    const { name, value } = parseSwitch(arg);
    const { kind } = OPTIONS[name]!;
    if (kind === "flag" && value !== undefined) {
      throw new ConfigError("takes no value", { path: `--${name}` });
    }
    const next = args[i + 1];
    const needsValue = kind === "value" || kind === "values";
    if (!needsValue || value !== undefined && value !== "") {
      switches.push({ name, value });
    } else if (value === "" || !next || next.startsWith("--")) {
      throw new ConfigError("needs a value", {
        path: `--${name}`,
        hint: `Write ${valueText(name, OPTIONS[name]!)}`,
      });
    } else {
      switches.push({ name, value: next });
      i++;
    }
  }
  return { switches, rest };
}

function parseSwitch(arg: string): Switch {
  const long = arg.startsWith("--");
  const equals = arg.indexOf("=");
  const given = long
    ? arg.slice(2, equals < 0 ? undefined : equals)
    : arg.slice(1, 2);
  const name = long ? given : SHORT.get(given) ?? given;
  if (!Object.hasOwn(OPTIONS, name)) {
    const near = nearest(name, Object.keys(OPTIONS));
    throw new ConfigError(`unknown option ${arg}`, {
      hint: near === undefined
        ? "gpioagg probe --help lists the options"
        : `Did you mean --${near}?`,
    });
  }
  if (long) {
    return { name, value: equals < 0 ? undefined : arg.slice(equals + 1) };
  }
  return { name, value: arg.length > 2 ? arg.slice(2) : undefined };
}

function parseSet(text: string): LineAction {
  // A name may contain "=", a level cannot.
  const equals = text.lastIndexOf("=");
  const level = text.slice(equals + 1);
  if (equals < 1 || !Object.hasOwn(LEVELS, level)) {
    throw new ConfigError(`cannot set "${text}"`, {
      path: "--set",
      hint: "Write --set NAME=VALUE with a line's name or number and 0 or 1",
    });
  }
  return { kind: "set", line: text.slice(0, equals), value: LEVELS[level]! };
}

function parseInterrupt(text: string): IrqType {
  const type = Object.hasOwn(INTERRUPT_NAMES, text)
    ? INTERRUPT_NAMES[text]!
    : IrqType.None;
  if (type !== IrqType.None) return type;
  throw new ConfigError(`"${text}" is not a valid interrupt type`, {
    path: "--interrupt",
    hint: "One of both, rising, falling, high, low",
  });
}

function parseCount(text: string | undefined): number {
  if (text === undefined) return 0;
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count > 0) return count;
  throw new ConfigError(`"${text}" is not a valid number of events`, {
    path: "--num-events",
    hint: "A whole number from 1 on",
  });
}

function parseTimeout(text: string): number {
  const us = parsePeriodUs(text);
  if (us !== undefined && us >= 1000) return Math.ceil(us / 1000);
  throw new ConfigError(`"${text}" is not a valid time limit`, {
    path: "--timeout",
    hint: "A duration of at least 1ms: 500ms, 2s",
  });
}

function parseOrder(text: string): OrderName {
  const order = ORDER_NAMES.find((name) => name === text);
  if (order !== undefined) return order;
  throw new ConfigError(`unknown frontend "${text}"`, {
    path: "--order",
    hint: `One of ${ORDER_NAMES.join(", ")}`,
  });
}
