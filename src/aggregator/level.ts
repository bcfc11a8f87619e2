/**
 * The one place where values and levels meet.
 *
 * A *value* is logical (1 is active), a *level* is what a wire carries (1 is
 * high). A guest's virtio-gpio "high" is our *active*: the guest sees a
 * controller of its own, whose wires are our values, and host-side active-low
 * is what lies between them and the real wire. The kernel inverts for chip
 * lines when their request says so; simulated pins are inverted here.
 *
 * @module
 */
import type { Value } from "../line/value.ts";

/** The value that a pin at `level` has. */
export function valueOfLevel(level: Value, activeLow: boolean): Value {
  return activeLow ? invertValue(level) : level;
}

/** The level that makes a pin have `value`. */
export function levelOfValue(value: Value, activeLow: boolean): Value {
  return activeLow ? invertValue(value) : value;
}

/** The other value: what is active is not, and the other way round. */
export function invertValue(value: Value): Value {
  return (value ^ 1) as Value;
}
