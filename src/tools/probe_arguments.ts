/**
 * The command line of `gpioagg probe`. Read by hand, because the order of
 * `--set` and `--get` among each other is what the user asks for.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import { parsePeriodUs } from "../config/line_spec.ts";
import { nearest } from "../config/nearest.ts";
import { IrqType } from "./probe/driver.ts";
import { ORDER_NAMES, type OrderName } from "./probe/orders.ts";

/** One `--set` or `--get`. */
export type LineAction =
  | { readonly kind: "set"; readonly line: string; readonly value: number }
  | { readonly kind: "get"; readonly line: string };

/** What the command line asks for. */
export interface ProbeArguments {
  /** Whether only the help is wanted. */
  readonly help: boolean;
  /** The socket's path. */
  readonly socket: string;
  /** What to do to lines, in order. */
  readonly actions: readonly LineAction[];
  /** Lines to watch; empty for all inputs; nothing for not watching. */
  readonly monitor: readonly string[] | undefined;
  /** What is an interrupt. */
  readonly interrupt: IrqType;
  /** Events to print before ending; 0 for no limit. */
  readonly eventCount: number;
  /** Limit for each answer. **Units**: milliseconds. */
  readonly timeoutMs: number;
  /** Whose order of messages to use. */
  readonly order: OrderName;
  /** One JSON object a line. */
  readonly json: boolean;
  /** No overview. */
  readonly quiet: boolean;
}

/** The words for interrupt types, as the command line and reports have them. */
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

/** Switches, and whether each takes a value. */
const SWITCHES: Readonly<Record<string, "none" | "needed" | "optional">> = {
  set: "needed",
  get: "needed",
  monitor: "optional",
  interrupt: "needed",
  "num-events": "needed",
  timeout: "needed",
  order: "needed",
  json: "none",
  quiet: "none",
  help: "none",
};

const SHORT: Readonly<Record<string, string>> = {
  h: "help",
  q: "quiet",
  n: "num-events",
};

interface Switch {
  readonly name: string;
  readonly value: string | undefined;
}

/**
 * Reads the command line.
 *
 * @throws {ConfigError} If it makes no sense.
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
    throw new ConfigError("which socket? None was named", {
      hint: "gpioagg probe SOCKET, with the socket of a vhost-user backend",
    });
  }
  if (extra !== undefined) {
    throw new ConfigError(`one socket at a time; what is "${extra}"?`, {
      hint: "Lines are named by --set, --get and --monitor=NAME",
    });
  }
  for (const name of ["interrupt", "num-events"]) {
    if (single.has(name) && monitor === undefined) {
      throw new ConfigError("makes sense with --monitor only", {
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
    const kind = SWITCHES[name]!;
    if (kind === "none" && value !== undefined) {
      throw new ConfigError("takes no value", { path: `--${name}` });
    }
    const next = args[i + 1];
    if (kind !== "needed" || value !== undefined && value !== "") {
      switches.push({ name, value });
    } else if (value === "" || next === undefined || next.startsWith("--")) {
      throw new ConfigError("needs a value", {
        path: `--${name}`,
        hint: `Write --${name} VALUE`,
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
  const name = long
    ? given
    : Object.hasOwn(SHORT, given)
    ? SHORT[given]!
    : given;
  if (!Object.hasOwn(SWITCHES, name)) {
    const near = nearest(name, Object.keys(SWITCHES));
    throw new ConfigError(`unknown switch ${arg}`, {
      hint: near === undefined
        ? "gpioagg probe --help lists the switches"
        : `Did you mean --${near}?`,
    });
  }
  if (long) {
    return { name, value: equals < 0 ? undefined : arg.slice(equals + 1) };
  }
  return { name, value: arg.length > 2 ? arg.slice(2) : undefined };
}

function parseSet(text: string): LineAction {
  // A name may hold "=", a level cannot.
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
  throw new ConfigError(`"${text}" is no interrupt`, {
    path: "--interrupt",
    hint: "One of both, rising, falling, high, low",
  });
}

function parseCount(text: string | undefined): number {
  if (text === undefined) return 0;
  const count = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (count > 0) return count;
  throw new ConfigError(`"${text}" is no number of events`, {
    path: "--num-events",
    hint: "A whole number from 1 on",
  });
}

function parseTimeout(text: string): number {
  const us = parsePeriodUs(text);
  if (us !== undefined && us >= 1000) return Math.ceil(us / 1000);
  throw new ConfigError(`"${text}" is no time limit`, {
    path: "--timeout",
    hint: "A period of at least 1ms: 500ms, 2s",
  });
}

function parseOrder(text: string): OrderName {
  const order = ORDER_NAMES.find((name) => name === text);
  if (order !== undefined) return order;
  throw new ConfigError(`no frontend "${text}" is known`, {
    path: "--order",
    hint: `One of ${ORDER_NAMES.join(", ")}`,
  });
}
