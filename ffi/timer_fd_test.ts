import { assert, assertEquals } from "@std/assert";
import { clockNs } from "./clock.ts";
import { pollFd, POLLIN } from "./poll.ts";
import { TimerFd } from "./timer_fd.ts";

function isReady(timer: TimerFd, waitMs: number): boolean {
  return (pollFd(timer.fd, POLLIN, waitMs) & POLLIN) !== 0;
}

Deno.test("TimerFd is readable once its time has come, and not before", () => {
  using timer = new TimerFd();
  assert(!isReady(timer, 0));
  const dueNs = Number(clockNs("monotonic")) + 5e6;
  timer.set(dueNs);
  assert(isReady(timer, -1));
  assert(Number(clockNs("monotonic")) >= dueNs);
  assert(isReady(timer, 0), "until it is set again");
  timer.set(dueNs + 3600e9);
  assert(!isReady(timer, 0));
});

Deno.test("TimerFd takes times that are over, and can be stopped", () => {
  using timer = new TimerFd();
  for (const ns of [1, 1e9, 3e9]) {
    timer.set(ns);
    assert(isReady(timer, -1), String(ns));
    timer.stop();
    assert(!isReady(timer, 0), String(ns));
  }
  timer.set(Number(clockNs("monotonic")) + 5e6);
  timer.stop();
  assertEquals(isReady(timer, 20), false);
});
