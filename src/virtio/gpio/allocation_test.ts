import { assertAllocatesNothing } from "../../../tests/doubles/allocation.ts";
import { GpioGuest } from "../../../tests/doubles/gpio_guest.ts";
import { Direction, LineOperation, type LinePort } from "../../line/port.ts";
import { RequestTimes } from "./request_times.ts";

const GET_VALUE = 4;
const SET_VALUE = 5;
const SET_IRQ_TYPE = 6;

/** A line that itself allocates nothing. */
function barePort(): LinePort {
  let level = 0;
  return {
    name: "",
    direction: Direction.Output,
    attach() {},
    submit(operation, argument) {
      if (operation === LineOperation.SetValue) level = argument;
      return operation === LineOperation.GetValue ? level : 0;
    },
  };
}

/** Fills a ring with the same heads over and over, and shows `step` at a time. */
function repeater(
  guest: GpioGuest,
  index: 0 | 1,
  heads: number[],
): (step: number) => void {
  const ring = index === 0 ? guest.requests : guest.events;
  const avail = ring.parts[1]!.offset;
  let next = guest.view.getUint16(avail + 2, true);
  for (let slot = 0; slot < ring.size; slot++) {
    const head = heads[slot % heads.length]!;
    guest.view.setUint16(avail + 4 + 2 * slot, head, true);
  }
  ring.setUsedEvent(0x8000);
  return (step) => {
    next = (next + step) & 0xffff;
    guest.view.setUint16(avail + 2, next, true);
  };
}

Deno.test("Serving a request allocates nothing, direct or indirect, timed or not", () => {
  for (
    const options of [
      { features: 0x2000_0001n },
      { features: 0x3000_0001n },
      { deviceOptions: { times: new RequestTimes(2) } },
    ]
  ) {
    const guest = new GpioGuest([barePort(), barePort()], options);
    const heads = [
      guest.send(GET_VALUE, 1),
      guest.send(SET_VALUE, 1, 1),
      guest.send(SET_VALUE, 0, 0),
      guest.send(GET_VALUE, 0),
    ];
    // As beside a frontend, whose memory may lack pages.
    guest.memory.onAbsentPages = () => {};
    guest.serve(0);
    const show = repeater(guest, 0, heads);
    assertAllocatesNothing((count) => {
      for (let i = 0; i < count; i += 64) {
        show(64);
        guest.device.processQueue(0, 64);
      }
    });
  }
});

Deno.test("Serving an interrupt allocates nothing, its guest's state being kept", () => {
  const port = barePort();
  const guest = new GpioGuest([{ ...port, direction: Direction.Input }]);
  guest.device.keepState(new Uint8Array(guest.device.stateBytes), false);
  guest.request(SET_IRQ_TYPE, 0, 3);
  const head = guest.queueEvent(0);
  guest.serve(1);
  guest.device.edge(0, 1);
  const show = repeater(guest, 1, [head]);
  assertAllocatesNothing((count) => {
    for (let i = 0; i < count; i++) {
      show(1);
      guest.device.processQueue(1, 64);
      guest.device.edge(0, i & 1);
      guest.device.edge(0, i & 1); // latched
    }
  });
});

Deno.test("Deferring a request to a slow line allocates nothing", () => {
  let pending = 0;
  const guest = new GpioGuest([{
    name: "",
    direction: Direction.Input,
    attach() {},
    submit() {
      pending++;
      return -2;
    },
  }]);
  const heads = [0, 1, 2, 3].map(() => guest.send(GET_VALUE, 0));
  const { device } = guest;
  const drain = () => {
    while (pending > 0) {
      pending--;
      device.completed(0, 1);
    }
  };
  guest.serve(0);
  drain();
  const show = repeater(guest, 0, heads);
  assertAllocatesNothing((count) => {
    for (let i = 0; i < count; i += 4) {
      show(4);
      device.processQueue(0, 64);
      drain();
    }
  });
});
