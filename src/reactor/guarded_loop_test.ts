import { assertEquals } from "@std/assert";
import { EPOLLIN } from "../../ffi/epoll.ts";
import { createEventFd, signalFd } from "../../ffi/event_fd.ts";
import { GuardedLoop } from "./guarded_loop.ts";
import { Reactor } from "./reactor.ts";

const fail = () => {
  throw new Error("handler");
};

/** A reactor with one part whose handlers throw, and what was heard. */
function rig() {
  const heard: string[] = [];
  const reactor = new Reactor({
    onError: (error) => heard.push(`reactor: ${(error as Error).message}`),
  });
  const guarded = new GuardedLoop(
    reactor,
    (error) => heard.push(`part: ${(error as Error).message}`),
  );
  return { heard, reactor, guarded };
}

Deno.test("GuardedLoop keeps what each kind of handler throws in its part", () => {
  const { heard, reactor, guarded } = rig();
  using _reactor = reactor;
  using fd = createEventFd();
  signalFd(fd.fd);
  const share = guarded.share();
  using watch = guarded.watch(fd.fd, EPOLLIN, fail);
  reactor.turn(0);
  watch[Symbol.dispose]();
  using shared = guarded.watch(fd.fd, EPOLLIN, fail, share);
  reactor.turn(0);
  shared[Symbol.dispose]();
  share.defer(fail);
  reactor.turn(0);
  guarded.defer(fail);
  guarded.defer(() => heard.push("next task"));
  reactor.turn(0);
  using _timer = guarded.after(0, fail);
  reactor.turn(5);
  assertEquals(heard, [
    "part: handler",
    "part: handler",
    "part: handler",
    "part: handler",
    "next task",
    "part: handler",
  ]);
});

for (
  const [title, isGuarded, isShared, isPutOff] of [
    ["", false, false, false],
    [" of a peer", false, true, false],
    [" of a peer that is put off", false, true, true],
    [" of a part", true, false, false],
    [" of a part's peer", true, true, false],
    [" of a part's peer that is put off", true, true, true],
  ] as const
) {
  Deno.test(`Reactor does not call a handler${title} for ever that always throws`, () => {
    const { heard, guarded, reactor } = rig();
    using _reactor = reactor;
    using fd = createEventFd();
    signalFd(fd.fd);
    const loop = isGuarded ? guarded : reactor;
    const share = isShared ? loop.share() : undefined;
    let others = 0;
    using _bad = loop.watch(fd.fd, EPOLLIN, fail, share);
    for (let i = 0; i < 100; i++) {
      reactor.defer(() => others++);
      if (isPutOff) share?.defer(() => {});
      reactor.turn(0);
    }
    assertEquals(others, 100);
    assertEquals(heard.length, 8);
  });
}

Deno.test("GuardedLoop runs a part's tasks in order, some a turn", () => {
  const { reactor, guarded } = rig();
  using _reactor = reactor;
  const done: number[] = [];
  for (let i = 0; i < 100; i++) guarded.defer(() => void done.push(i));
  let perTurn = 0;
  while (done.length < 100) {
    const before = done.length;
    reactor.turn(0);
    perTurn = Math.max(perTurn, done.length - before);
  }
  assertEquals(done, Array.from({ length: 100 }, (_, i) => i));
  assertEquals(perTurn < 100, true);
});
