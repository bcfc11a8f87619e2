import { assertEquals, assertThrows } from "@std/assert";
import { EPOLLET, EPOLLIN } from "../../ffi/epoll.ts";
import { createEventFd, signalFd } from "../../ffi/event_fd.ts";
import { OsError } from "../../ffi/os_error.ts";
import { Reactor } from "./reactor.ts";

function rig() {
  const errors: string[] = [];
  const clock = { now: 0 };
  const reactor = new Reactor({
    onError: (error) => errors.push(String(error)),
    now: () => clock.now,
  });
  return { reactor, errors, clock };
}

Deno.test("Reactor.turn() calls the handler of a ready fd", () => {
  const { reactor } = rig();
  using _reactor = reactor;
  using first = createEventFd();
  using second = createEventFd();
  const log: string[] = [];
  using _a = reactor.watch(first.fd, EPOLLIN | EPOLLET, () => log.push("1"));
  using _b = reactor.watch(second.fd, EPOLLIN | EPOLLET, () => log.push("2"));
  reactor.turn(0);
  assertEquals(log, []);
  signalFd(second.fd);
  reactor.turn(1000);
  // Edge-triggered and never read: each signal is one call.
  reactor.turn(0);
  signalFd(second.fd);
  reactor.turn(1000);
  assertEquals(log, ["2", "2"]);
});

Deno.test("Reactor.turn() does not deliver a stale event to a slot's next user", () => {
  const { reactor, errors } = rig();
  using _reactor = reactor;
  using first = createEventFd();
  using second = createEventFd();
  using third = createEventFd();
  const log: string[] = [];
  const watches: Disposable[] = [];
  watches.push(
    reactor.watch(first.fd, EPOLLIN, () => {
      log.push("first");
      watches[1]?.[Symbol.dispose]();
      watches.push(reactor.watch(third.fd, EPOLLIN, () => log.push("third")));
    }),
    reactor.watch(second.fd, EPOLLIN, () => {
      log.push("second");
      watches[0]?.[Symbol.dispose]();
      watches.push(reactor.watch(third.fd, EPOLLIN, () => log.push("third")));
    }),
  );
  signalFd(first.fd);
  signalFd(second.fd);
  reactor.turn(1000);
  assertEquals(log.length, 1);
  assertEquals(errors, []);
});

Deno.test("Reactor reports a handler that throws and serves the others", () => {
  const { reactor, errors } = rig();
  using _reactor = reactor;
  using bad = createEventFd();
  using good = createEventFd();
  let served = 0;
  using _a = reactor.watch(bad.fd, EPOLLIN | EPOLLET, () => {
    throw new Error("bang");
  });
  using _b = reactor.watch(good.fd, EPOLLIN | EPOLLET, () => served++);
  signalFd(bad.fd);
  signalFd(good.fd);
  reactor.turn(1000);
  assertEquals(served, 1);
  assertEquals(errors, ["Error: bang"]);
});

Deno.test("Reactor.defer() runs in the next turn, which does not wait", () => {
  const { reactor } = rig();
  using _reactor = reactor;
  const log: number[] = [];
  reactor.defer(() => {
    log.push(1);
    reactor.defer(() => log.push(2));
  });
  reactor.turn(Infinity);
  assertEquals(log, [1]);
  reactor.turn(Infinity);
  assertEquals(log, [1, 2]);
});

Deno.test("Reactor.defer() lets ready fds go first, also when a handler defers", () => {
  const { reactor } = rig();
  using _reactor = reactor;
  using fd = createEventFd();
  const log: string[] = [];
  using _watch = reactor.watch(fd.fd, EPOLLIN | EPOLLET, () => {
    log.push("served");
    reactor.defer(() => log.push("put off"));
  });
  signalFd(fd.fd);
  reactor.turn(1000);
  assertEquals(log, ["served"]);
  signalFd(fd.fd);
  reactor.turn(1000);
  assertEquals(log, ["served", "served", "put off"]);
});

Deno.test("Reactor.after() wakes the loop when the deadline is due", () => {
  using reactor = new Reactor({
    onError: (error) => {
      throw error;
    },
  });
  const from = performance.now();
  let elapsed = 0;
  reactor.after(20, () => {
    elapsed = performance.now() - from;
    reactor.stop();
  });
  reactor.run();
  assertEquals(elapsed >= 20, true);
});

Deno.test("Reactor.watch() refuses what epoll refuses, and stays usable", () => {
  const { reactor } = rig();
  using _reactor = reactor;
  assertThrows(() => reactor.watch(-1, EPOLLIN, () => {}), OsError, "EBADF");
  using fd = createEventFd();
  let served = 0;
  using _watch = reactor.watch(fd.fd, EPOLLIN, () => served++);
  signalFd(fd.fd);
  reactor.turn(1000);
  assertEquals(served, 1);
});

Deno.test("Reactor runs tasks of no peer for a limited time a turn, in order", () => {
  let now = 0;
  using reactor = new Reactor({
    onError: (error) => {
      throw error;
    },
    now: () => now,
  });
  const done: number[] = [];
  for (let i = 0; i < 10; i++) {
    reactor.defer(() => {
      now += 0.15; // milliseconds that each takes
      done.push(i);
    });
  }
  reactor.turn(0);
  assertEquals(done, [0, 1]);
  while (done.length < 10) reactor.turn(0);
  assertEquals(done, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});
