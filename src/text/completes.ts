/**
 * Words of a command line that a shell completes.
 *
 * @module
 */

/** Kind of words at one place of a command line. */
export type Completes =
  /** Names of aggregators of running services. */
  | "aggregator"
  /** Names of aggregators that `gpioagg sim` controls. */
  | "sim"
  /** `LINE=LEVEL` of the simulated lines of the first operand. */
  | "pull"
  /** Lines of aggregators of running services: `NAME.LINE`. */
  | "served-line"
  /** The same with `=` and a value or an edge. */
  | "line-condition"
  /** The same with `=` and a value; behind `--end` without. */
  | "forced-value"
  /** `SIGNAL=` and a line of an aggregator of a running service. */
  | "signal-map"
  /** `KEY=VALUE` of a rule that may change under a guest. */
  | "rule-change"
  /** Chips of this host. */
  | "chip"
  /** Lines of this host: names, and `CHIP/`. */
  | "line"
  /** The same, with `=0` and `=1`. */
  | "line-value"
  /** A SPEC: lines, then keys and values. */
  | "spec"
  /** Running services. */
  | "service"
  /** Chips that gpioagg made in this host's kernel. */
  | "kernel-chip"
  /** Commands of gpioagg. */
  | "command"
  /** The same, and other manual pages. */
  | "page"
  /** A file, behind a comma access to it: `mode=`, `owner=`, `group=`. */
  | "socket"
  /** The same, and settings of adapters on USB. */
  | "adapter-socket"
  | "file"
  | "directory"
  | "program"
  | "user"
  | "group"
  /** One of these words. */
  | readonly string[];
