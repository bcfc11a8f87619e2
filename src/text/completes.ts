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
  | "file"
  | "directory"
  | "program"
  | "user"
  | "group"
  /** One of these words. */
  | readonly string[];
