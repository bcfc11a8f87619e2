import { assert, assertEquals, assertThrows } from "@std/assert";
import { EAGAIN } from "./errno.ts";
import { drainFd } from "./event_fd.ts";
import { pollFd, POLLIN } from "./poll.ts";
import { createTimerFd, setTimerFd } from "./timer_fd.ts";

const MS = 1_000_000;

Deno.test("a timer goes off once, when its time is over", () => {
  using timer = createTimerFd();
  assertEquals(pollFd(timer.fd, POLLIN, 0), 0, "not set yet");
  const before = performance.now();
  setTimerFd(timer, 20 * MS);
  assertEquals(pollFd(timer.fd, POLLIN, 5000), POLLIN);
  assert(performance.now() - before >= 19);
  assertEquals(drainFd(timer.fd), 8);
  assertEquals(pollFd(timer.fd, POLLIN, 40), 0);
});

Deno.test("a timer with an interval goes off again and again", () => {
  using timer = createTimerFd();
  setTimerFd(timer, 1, 5 * MS);
  for (let i = 0; i < 3; i++) {
    assertEquals(pollFd(timer.fd, POLLIN, 5000), POLLIN);
    assertEquals(drainFd(timer.fd), 8);
  }
});

Deno.test("a timer that is stopped does not go off", () => {
  using timer = createTimerFd();
  setTimerFd(timer, 10 * MS);
  setTimerFd(timer, 0);
  assertEquals(pollFd(timer.fd, POLLIN, 30), 0);
  assertEquals(drainFd(timer.fd), -EAGAIN);
});

Deno.test("setTimerFd() takes times beyond a second, and refuses others", () => {
  using timer = createTimerFd();
  setTimerFd(timer, 3_600_000_000_001);
  assertEquals(pollFd(timer.fd, POLLIN, 0), 0);
  assertThrows(() => setTimerFd(timer, -1), RangeError, "-1 ns");
  assertThrows(() => setTimerFd(timer, 0.5), RangeError);
  assertThrows(() => setTimerFd(timer, 1, -1), RangeError);
});
