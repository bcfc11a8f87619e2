import { assert, assertEquals } from "@std/assert";
import { EPOLLET, EPOLLIN } from "../../ffi/epoll.ts";
import { createEventFd, signalFd } from "../../ffi/event_fd.ts";
import { assertAllocatesNothing } from "../../tests/doubles/allocation.ts";
import type {
  Poll,
  PollSettings,
  PollTarget,
  TimeShare,
} from "./event_loop.ts";
import { GuardedLoop } from "./guarded_loop.ts";
import { Reactor } from "./reactor.ts";

const US = 1 / 1000;

/** A reactor whose clock advances by a microsecond each time it is read. */
class Rig implements Disposable {
  now = 0;
  stepUs = 1;
  onRead = () => {};
  readonly errors: string[] = [];
  readonly reactor = new Reactor({
    onError: (error) => this.errors.push(String(error)),
    now: () => {
      this.onRead();
      return this.now += this.stepUs * US;
    },
  });

  target(settings: Partial<PollSettings> = {}): Target {
    const { reactor } = this;
    return new Target(reactor, reactor.share(), {
      periodUs: 50,
      sharePercent: 100,
      ...settings,
    });
  }

  /** Turns until a target is not looked at any more; returns microseconds. */
  untilEnd(target: Target, limit = 10_000): number {
    const from = this.now;
    for (let i = 0; i < limit && target.poll.isActive; i++) {
      this.reactor.turn(Infinity);
    }
    assertEquals(target.poll.isActive, false);
    return (this.now - from) / US;
  }

  [Symbol.dispose](): void {
    this.reactor[Symbol.dispose]();
  }
}

/** Work in "shared memory": a number of pieces. */
class Target implements PollTarget {
  news = 0;
  served = 0;
  ends = 0;
  later = 0;
  looks = 0;
  onServe = () => {};
  readonly poll: Poll;
  readonly #share: TimeShare;

  constructor(reactor: Reactor, share: TimeShare, settings: PollSettings) {
    this.#share = share;
    this.poll = reactor.poll(this, settings, share);
  }

  get hasNews(): boolean {
    this.looks++;
    return this.news > 0;
  }

  serveNews(): void {
    this.served += this.news;
    this.news = 0;
    this.onServe();
  }

  serveLater(): void {
    this.later++;
    this.#share.defer(() => this.serveNews());
    this.news = 0;
  }

  pollEnded(): void {
    this.ends++;
    this.serveNews();
  }
}

Deno.test("a target is looked at after work, until nothing comes for its period", () => {
  using rig = new Rig();
  const target = rig.target();
  assertEquals(target.poll.begin(), true);
  for (let i = 1; i <= 20; i++) {
    target.news = 1;
    rig.reactor.turn(Infinity);
    assertEquals([target.served, target.ends], [i, 0]);
  }
  const us = rig.untilEnd(target);
  assert(us >= 50 && us < 200, `${us} µs`);
  assertEquals(target.ends, 1);
  // Nothing is looked at any more, and nothing wakes up.
  target.looks = 0;
  rig.reactor.turn(0);
  assertEquals(target.looks, 0);
});

Deno.test("what comes when polling ends is served", () => {
  using rig = new Rig();
  const target = rig.target();
  target.poll.begin();
  // After the last look, while the clock is read that ends polling.
  rig.onRead = () => {
    rig.onRead = () => {};
    target.news = 3;
    rig.now += 1;
  };
  rig.reactor.turn(0);
  assertEquals([target.poll.isActive, target.ends, target.served], [
    false,
    1,
    3,
  ]);
});

Deno.test("periods that pass in vain become shorter, down to none, and return with the traffic", () => {
  using rig = new Rig();
  const target = rig.target({ periodUs: 64 });
  const lasted: number[] = [];
  while (target.poll.begin()) {
    lasted.push(rig.untilEnd(target));
    rig.now += 1000;
  }
  assert(lasted.length >= 5 && lasted.length <= 8, `${lasted}`);
  for (const [i, us] of lasted.entries()) {
    if (i > 0) assert(us <= lasted[i - 1]! + 8, `${lasted}`);
  }
  // Seldom work is not polled for.
  rig.now += 1000;
  assertEquals(target.poll.begin(), false);
  // Two pieces of work close to each other are.
  rig.now += 20 * US;
  assertEquals(target.poll.begin(), true);
  assert(rig.untilEnd(target) >= 64);
});

Deno.test("looking takes no more than its share of a CPU", () => {
  using rig = new Rig();
  const target = rig.target({ sharePercent: 10, periodUs: 10_000 });
  let looking = 0;
  const from = rig.now;
  for (let i = 0; i < 100; i++) {
    if (target.poll.begin()) looking += rig.untilEnd(target);
    // Traffic that is worth it.
    rig.now += 5000 * US;
  }
  const all = (rig.now - from) / US;
  // What was saved at first comes on top of it.
  assert(looking > all * 0.05, `${looking} of ${all}`);
  assert(looking < all * 0.1 + 20_000, `${looking} of ${all}`);
});

Deno.test("looking ends when its share is used up, though work keeps coming", () => {
  using rig = new Rig();
  const target = rig.target({ sharePercent: 10 });
  target.poll.begin();
  let turns = 0;
  while (target.poll.isActive && turns++ < 100_000) {
    if (turns % 5 === 0) target.news = 1;
    rig.reactor.turn(Infinity);
  }
  assertEquals([target.poll.isActive, target.ends], [false, 1]);
  // And does not begin before some of it is saved.
  assertEquals(target.poll.begin(), false);
  rig.now += 500_000 * US;
  assertEquals(target.poll.begin(), true);
});

Deno.test("a target that has work all the time keeps neither fds nor deadlines waiting", () => {
  using rig = new Rig();
  using fd = createEventFd();
  const target = rig.target();
  target.news = 1;
  target.onServe = () => void target.news++;
  const heard: string[] = [];
  using _watch = rig.reactor.watch(
    fd.fd,
    EPOLLIN | EPOLLET,
    () => heard.push("fd"),
  );
  rig.reactor.defer(() => heard.push("task"));
  rig.reactor.after(0, () => heard.push("deadline"));
  target.poll.begin();
  signalFd(fd.fd);
  const from = rig.now;
  rig.reactor.turn(Infinity);
  rig.reactor.turn(Infinity);
  assertEquals(heard.toSorted(), ["deadline", "fd", "task"]);
  assert((rig.now - from) / US < 200, `${(rig.now - from) / US}`);
  assert(target.served > 0);
});

Deno.test("targets have turns alike, and one that overdraws its time is put off", () => {
  using rig = new Rig();
  const targets = [rig.target(), rig.target(), rig.target()];
  for (const target of targets) {
    target.onServe = () => void target.news++;
    target.news = 1;
    target.poll.begin();
  }
  for (let i = 0; i < 200; i++) rig.reactor.turn(Infinity);
  const counts = targets.map(({ served }) => served);
  assert(Math.min(...counts) > 0.8 * Math.max(...counts), `${counts}`);
  // One whose work takes long leaves the others their time.
  const [greedy, ...others] = targets as [Target, Target, Target];
  greedy.onServe = () => {
    greedy.news++;
    rig.now += 2;
  };
  for (const one of targets) one.served = 0;
  for (let i = 0; i < 200; i++) rig.reactor.turn(Infinity);
  assert(greedy.later > 0);
  for (const one of others) {
    assert(one.served > 5 * greedy.served, `${targets.map((t) => t.served)}`);
  }
});

Deno.test("settings count at once, and 0 is never", () => {
  using rig = new Rig();
  const settings = { periodUs: 0, sharePercent: 100 };
  const target = rig.target();
  const never = new Target(rig.reactor, rig.reactor.share(), settings);
  assertEquals(never.poll.begin(), false);
  settings.periodUs = 1000;
  assertEquals(never.poll.begin(), true);
  settings.periodUs = 0;
  assert(rig.untilEnd(never) < 50);
  assertEquals(target.looks, 0);
});

Deno.test("a target that is stopped is not looked at and hears of no end", () => {
  using rig = new Rig();
  const target = rig.target();
  const other = rig.target();
  target.poll.begin();
  other.poll.begin();
  other.news = 1;
  // In the midst of serving another one, too.
  other.onServe = () => target.poll.stop();
  target.news = 1;
  rig.reactor.turn(Infinity);
  target.served = 0;
  target.news = 1;
  rig.untilEnd(other);
  assertEquals([target.ends, target.served, target.poll.isActive], [
    0,
    0,
    false,
  ]);
  target.poll.stop();
});

Deno.test("what a target throws is its peer's, and the others go on", () => {
  using rig = new Rig();
  const own: string[] = [];
  const share = rig.reactor.share((error) => own.push(String(error)));
  const target = new Target(rig.reactor, share, {
    periodUs: 50,
    sharePercent: 100,
  });
  target.onServe = () => {
    throw new Error("broken");
  };
  const other = rig.target();
  target.poll.begin();
  other.poll.begin();
  target.news = other.news = 1;
  rig.reactor.turn(Infinity);
  assertEquals([own, rig.errors, other.served], [["Error: broken"], [], 1]);
});

Deno.test("a clock that stands still holds nothing up", () => {
  using rig = new Rig();
  rig.stepUs = 0;
  const target = rig.target();
  target.poll.begin();
  rig.reactor.turn(Infinity);
  assert(target.looks < 20_000);
});

Deno.test("loops without polling make none, and guarded ones pass it on", () => {
  using rig = new Rig();
  const target = rig.target();
  const settings = { periodUs: 50, sharePercent: 100 };
  const share = rig.reactor.share();
  const guarded = new GuardedLoop(rig.reactor, () => {});
  assertEquals(guarded.poll(target, settings, share)?.begin(), true);
});

Deno.test("polling allocates nothing", () => {
  let now = 0;
  using reactor = new Reactor({
    onError: () => {},
    now: () => now = (now + 1) & 0xffff,
  });
  const target = new Target(reactor, reactor.share(), {
    periodUs: 10_000,
    sharePercent: 100,
  });
  target.poll.begin();
  assertAllocatesNothing((count) => {
    for (let i = 0; i < count; i++) {
      target.news = 1;
      if (!target.poll.isActive) target.poll.begin();
      reactor.turn(0);
    }
  });
});
