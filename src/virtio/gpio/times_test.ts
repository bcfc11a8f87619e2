import { assert, assertEquals } from "@std/assert";
import { GpioGuest } from "../../../tests/doubles/gpio_guest.ts";
import { ModelPort } from "../../../tests/doubles/model_port.ts";
import { Direction } from "../../line/port.ts";
import {
  DURATION_BOUNDS,
  DURATION_STRIDE,
  RequestTimes,
} from "./request_times.ts";

const GET_LINE_NAMES = 1;
const SET_DIRECTION = 3;
const GET_VALUE = 4;
const SET_IRQ_TYPE = 6;
const HIGH = 4;

/** A guest whose requests are timed by a clock that the test sets. */
function rig() {
  const clock = { now: 1000, looks: 0 };
  const times = new RequestTimes(2, () => {
    clock.looks++;
    return clock.now;
  });
  const [slow, fast] = [new ModelPort(), new ModelPort()];
  slow.slow = true;
  // Every submission takes a while.
  for (const port of [slow, fast]) port.onSubmit = () => clock.now += 0.01;
  const guest = new GpioGuest([slow, fast], { deviceOptions: { times } });
  return {
    clock,
    guest,
    slow,
    fast,
    /** Requests by duration: pairs of bound and count. */
    histogram(line: number) {
      const from = line * DURATION_STRIDE;
      return [...times.buckets.subarray(from, from + DURATION_STRIDE)]
        .flatMap((count, i) => count > 0 ? [[DURATION_BOUNDS[i], count]] : []);
    },
  };
}

Deno.test("A request takes from its turn's beginning to its answer's publication", () => {
  const { guest, clock, histogram } = rig();
  guest.send(GET_VALUE, 1);
  guest.send(GET_VALUE, 1);
  guest.send(SET_DIRECTION, 1, Direction.Output);
  guest.serve(0);
  // Published together, after three submissions.
  assertEquals(histogram(1), [[5e-5, 3]]);
  assertEquals(histogram(0), []);
  assertEquals(clock.looks, 2);
});

Deno.test("A request to a slow line takes until it is completed, in its order", () => {
  const { guest, slow, clock, histogram } = rig();
  guest.send(GET_VALUE, 0);
  guest.send(GET_VALUE, 0);
  guest.send(GET_VALUE, 1);
  guest.serve(0);
  assertEquals(histogram(1), [[2e-5, 1]]);
  assertEquals(histogram(0), []);
  clock.now += 2;
  slow.finish();
  assertEquals(histogram(0), [[5e-3, 1]]);
  clock.now += 20;
  slow.finish();
  assertEquals(histogram(0), [[5e-3, 1], [1e-1, 1]]);
});

Deno.test("A request that two operations make counts once", () => {
  const { guest, slow, clock, histogram } = rig();
  guest.send(SET_IRQ_TYPE, 0, HIGH);
  guest.serve(0);
  clock.now += 2;
  slow.finish(); // an input
  assertEquals(histogram(0), []);
  clock.now += 20;
  slow.finish(); // its edges
  assertEquals(histogram(0), [[1e-1, 1]]);
  // Neither an interrupt nor its level check is a request.
  guest.unmask(0);
  slow.finish();
  slow.pull(1);
  slow.finish();
  assertEquals(guest.interrupts().length, 1);
  assertEquals(histogram(0), [[1e-1, 1]]);
});

Deno.test("A completion inside a turn is booked with that turn", () => {
  const { guest, slow, fast, clock, histogram } = rig();
  guest.send(GET_VALUE, 0);
  guest.serve(0);
  clock.now += 2;
  fast.onSubmit = () => {
    slow.finish();
    clock.now += 20;
  };
  guest.send(GET_VALUE, 1);
  guest.serve(0);
  assertEquals(histogram(0), [[1e-1, 1]]);
  assertEquals(histogram(1), [[1e-1, 1]]);
  assertEquals(clock.looks, 3);
});

Deno.test("What a stopped queue forgets is not booked; what is counted is", () => {
  const { guest, slow, fast, histogram } = rig();
  guest.send(GET_VALUE, 0);
  guest.send(GET_VALUE, 0);
  guest.serve(0);
  guest.stop(0);
  slow.finish();
  assertEquals(histogram(0), []);
  guest.start(0, { nextAvail: 2 });
  fast.broken = true;
  for (const type of [GET_VALUE, SET_DIRECTION, SET_IRQ_TYPE, 99]) {
    guest.request(type, 1, 1);
  }
  // Of no line, and so in no line's histogram.
  guest.request(GET_VALUE, 7);
  guest.request(GET_LINE_NAMES, 0);
  const booked = histogram(1).reduce((sum, [, count]) => sum + count!, 0);
  const { requests } = guest.device.counters;
  const counted = requests.subarray(requests.length / 2)
    .reduce((sum, count) => sum + count);
  assertEquals([booked, counted], [4, 4]);
});

Deno.test("An untimed device never looks at a clock", () => {
  const { performance } = globalThis;
  const looks: number[] = [];
  const now = performance.now;
  performance.now = () => {
    looks.push(0);
    return now.call(performance);
  };
  try {
    const slow = new ModelPort();
    slow.slow = true;
    const guest = new GpioGuest([slow]);
    guest.send(GET_VALUE, 0);
    guest.serve(0);
    slow.finish();
    assertEquals(guest.responses().length, 1);
    assert(looks.length === 0);
    new RequestTimes(1).begin();
    assert(looks.length === 1);
  } finally {
    performance.now = now;
  }
});
