/**
 * What the main isolate and the reactor say to each other. Commands travel to
 * the reactor as frames over a socket pair (a Worker inside `epoll_wait`
 * cannot receive `postMessage`), reports come back by `postMessage`.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import type { AggregatorSpecification } from "../config/specification.ts";

/** What the main isolate asks of the reactor. */
export type Command =
  /** Makes aggregators and serves them: all, or none. */
  | {
    kind: "add";
    aggregators: AggregatorSpecification[];
    lanes: LaneHandover[];
  }
  /** Ends everything: lines to their declared state, sockets removed. */
  | { kind: "shutdown" };

/** A lane that runs, with its lines open. All fds stay the lane's. */
export interface LaneHandover {
  memoryFd: number;
  memoryBytes: number;
  wakeFd: number;
  doneFd: number;
}

/** One framed command. */
export interface CommandFrame {
  /** Repeated in the answer. */
  id: number;
  command: Command;
}

/** One line of a served aggregator, as told to people. */
export interface LineDescription {
  lineNumber: number;
  name: string;
  /** Where it comes from, in words. */
  source: string;
  direction: "input" | "output";
  /** Absent where it is not known without waiting. */
  value?: number;
}

/** A served aggregator, as told to people. */
export interface AggregatorDescription {
  name: string;
  /** Absent when it was given as an open fd. */
  socketPath?: string;
  connected: boolean;
  lines: LineDescription[];
}

/** An error on its way to the main isolate. */
export interface ErrorReport {
  message: string;
  hint: string;
  /** Whether it is the user's to mend (exit status 2). */
  isConfig: boolean;
}

/** Packs an error for the way between threads. */
export function errorReport(error: unknown): ErrorReport {
  return {
    message: error instanceof Error ? error.message : String(error),
    hint: error instanceof ConfigError ? error.hint : "",
    isConfig: error instanceof ConfigError,
  };
}

/** Unpacks an error after the way between threads. */
export function errorOf({ message, hint, isConfig }: ErrorReport): Error {
  return isConfig ? new ConfigError(message, { hint }) : new Error(message);
}

/** What the reactor tells the main isolate. */
export type Report =
  /** The reactor runs and takes commands. */
  | { kind: "ready" }
  | { kind: "done"; id: number; aggregators: AggregatorDescription[] }
  | { kind: "failed"; id: number; error: ErrorReport }
  /** Something that happened to one aggregator. */
  | { kind: "event"; event: ServiceEvent }
  /** Nothing is left to serve: the connections that were given are over. */
  | { kind: "idle" };

/** Something a person who runs the service wants to know. */
export interface ServiceEvent {
  aggregator: string;
  event: "connected" | "disconnected" | "started" | "stopped" | "fault";
  /** In words; empty when the event says it all. */
  detail: string;
}
