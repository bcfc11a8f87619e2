import { assertEquals, assertThrows } from "@std/assert";
import { EPOLLET, EPOLLIN } from "../../ffi/epoll.ts";
import { createEventFd, drainFd, signalFd } from "../../ffi/event_fd.ts";
import {
  chargeCloses,
  closeElsewhere,
  CloseQueue,
  helpersAreDone,
} from "../../ffi/helper_thread.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { testAlone } from "../../tests/doubles/test_alone.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import type { ShareOptions, TimeShare } from "./event_loop.ts";
import { Reactor } from "./reactor.ts";
import {
  LONE_SLICE_US,
  type Share,
  SHARED_SLICE_US,
  TimeShares,
} from "./time_shares.ts";

const US = 1 / 1000;
/** Longer than a peer counts as active. **Units**: milliseconds. */
const LONG = 5000;

function rig() {
  const clock = { now: 0 };
  const log: string[] = [];
  const reactor = new Reactor({
    onError: (error) => log.push(String(error)),
    now: () => clock.now,
  });
  /** Does as many units of one microsecond as the peer's slice has. */
  const work = (share: TimeShare) => {
    let units = 0;
    while (share.take(1)) {
      units++;
      clock.now += US;
    }
    return units;
  };
  /** A peer that always has more to do, from now on. */
  const busy = (name: string, partner?: TimeShare) => {
    const share = reactor.share(undefined, partner && { partner });
    const served: number[] = [];
    const go = () => {
      served.push(work(share));
      log.push(name);
      share.defer(go);
    };
    share.defer(go);
    return { share, served };
  };
  return { reactor, clock, log, work, busy, taken: () => log.splice(0) };
}

Deno.test("a peer that is alone has a long slice, one beside others a short one", () => {
  const { reactor, busy } = rig();
  using _reactor = reactor;
  const first = busy("first");
  for (let i = 0; i < 8; i++) reactor.turn(0);
  assertEquals(first.served.length, 8);
  for (const units of first.served) {
    assertEquals(units <= LONE_SLICE_US + 2 * 64, true, `${units} units`);
    assertEquals(units >= LONE_SLICE_US, true, `${units} units`);
  }
  const second = busy("second");
  for (let i = 0; i < 16; i++) reactor.turn(0);
  assertEquals(second.served.length, 8);
  for (const units of second.served) {
    assertEquals(units <= 2 * SHARED_SLICE_US, true, `${units} units`);
  }
});

Deno.test("shares of one peer leave each other's slices long", () => {
  const { reactor, busy } = rig();
  using _reactor = reactor;
  const first = busy("first");
  const second = busy("second", first.share);
  for (let i = 0; i < 8; i++) reactor.turn(0);
  assertEquals([first.served.length, second.served.length], [4, 4]);
  for (const units of [...first.served, ...second.served]) {
    assertEquals(units >= LONE_SLICE_US, true, `${units} units`);
  }
});

Deno.test("one peer that was put off is served per turn, after all others", () => {
  const { reactor, busy, taken } = rig();
  using _reactor = reactor;
  using kick = createEventFd();
  const good = reactor.share();
  using _watch = reactor.watch(
    kick.fd,
    EPOLLIN | EPOLLET,
    () => taken().length > 1 ? undefined : signal(),
    good,
  );
  const order: string[] = [];
  const signal = () => order.push("good");
  busy("a");
  busy("b");
  busy("c");
  for (let i = 0; i < 6; i++) {
    signalFd(kick.fd);
    reactor.turn(0);
    order.push(...taken());
  }
  assertEquals(order.join(" "), "good a good b good c good a good b good c");
});

Deno.test("an event of a peer that was put off waits for its turn and is not lost", () => {
  for (const mask of [EPOLLIN, EPOLLIN | EPOLLET]) {
    const { reactor, clock, work, log, taken } = rig();
    using _reactor = reactor;
    using fd = createEventFd();
    const share = reactor.share();
    let left = 3;
    const ring = () => {
      work(share);
      log.push("ring");
      if (--left > 0) share.defer(ring);
    };
    using _watch = reactor.watch(fd.fd, mask, () => {
      drainFd(fd.fd);
      log.push("event");
    }, share);
    share.defer(ring);
    signalFd(fd.fd);
    reactor.turn(0);
    // Held behind what was put off before it.
    assertEquals(taken(), ["ring"]);
    for (let i = 0; i < 4; i++) reactor.turn(0);
    assertEquals(taken().toSorted(), ["event", "ring", "ring"]);
    clock.now += LONG;
    signalFd(fd.fd);
    reactor.turn(1000);
    assertEquals(taken(), ["event"]);
  }
});

Deno.test("a unit that exceeds the slice is paid back by a rest, while others are active", () => {
  const { reactor, clock, log, taken } = rig();
  using _reactor = reactor;
  using slowFd = createEventFd();
  using goodFd = createEventFd();
  const slow = reactor.share();
  // Level-triggered and never drained: it always has more.
  using _slow = reactor.watch(slowFd.fd, EPOLLIN, () => {
    clock.now += 0.5;
    log.push("slow");
  }, slow);
  using _good = reactor.watch(goodFd.fd, EPOLLIN | EPOLLET, () => {
    clock.now += 5 * US;
    log.push("good");
  }, reactor.share());
  signalFd(slowFd.fd);
  for (let i = 0; i < 10; i++) reactor.turn(0);
  assertEquals(taken().length, 10, "alone, it never rests");
  const from = clock.now;
  let turns = 0;
  while (clock.now < from + 100) {
    signalFd(goodFd.fd);
    reactor.turn(0);
    clock.now += 20 * US;
    turns++;
  }
  const seen = taken();
  const slowCount = seen.filter((name) => name === "slow").length;
  assertEquals(seen.length - slowCount, turns, "every request is served");
  // 200 units of 0.5 ms would fill the time.
  assertEquals(slowCount > 10 && slowCount < 60, true, `${slowCount} units`);
});

/** Long units beside a guest that has a request each 5 ms, for 20 s. */
function besideLongUnits(
  unitMs: number,
  ownMs = unitMs,
  options: ShareOptions = {},
) {
  const clock = { now: 0, own: 0 };
  const shares = new TimeShares(
    () => (clock.now * 1000) | 0,
    (error) => {
      throw error;
    },
    () => (clock.own * 1000) | 0,
  );
  const [slow, good] = [
    shares.add(undefined, undefined, options),
    shares.add(),
  ];
  let units = 0;
  const unit = () => {
    units++;
    clock.now += unitMs;
    clock.own += ownMs;
    slow.defer(unit);
  };
  slow.defer(unit);
  let [requests, late] = [0, 0];
  let next = 0;
  while (clock.now < 20_000) {
    shares.beginTurn();
    if (clock.now >= next) {
      // At first it may have as many of them as the start of a VM.
      if (clock.now > 5000) {
        requests++;
        if (clock.now > next + 1) late++;
      }
      shares.run(good, () => void (clock.now += 0.005), 0);
      next = clock.now + 5;
    }
    shares.runNext();
    const wait = Math.min(shares.msToNext(), next - clock.now);
    clock.now += Math.max(wait, 0.001);
  }
  return { units, share: late / requests };
}

Deno.test("one request in a hundred meets a long unit of another peer at most", () => {
  for (const unitMs of [1.5, 4, 35, 80]) {
    const { share, units } = besideLongUnits(unitMs);
    assertEquals(share < 0.01, true, `${unitMs} ms: ${share}`);
    assertEquals(units > 10, true, `${unitMs} ms: ${units} units`);
  }
});

Deno.test("a peer whose units the machine made long does not rest for long", () => {
  const { units } = besideLongUnits(10, 0.02);
  // A rest of at most 20 ms after each.
  assertEquals(units > 500, true, `${units} units`);
});

Deno.test("a peer with a deadline rests for some milliseconds after long units", () => {
  const { units, share } = besideLongUnits(0.6, 0.6, { hasDeadline: true });
  // 5 ms after each.
  assertEquals(units > 2500, true, `${units} units`);
  assertEquals(share < 0.15, true, `${share}`);
});

Deno.test("peers that had a long unit do not cost a reading of the thread's time each", () => {
  let now = 0;
  let readings = 0;
  const shares = new TimeShares(
    () => now | 0,
    (error) => {
      throw error;
    },
    () => {
      readings++;
      return now | 0;
    },
  );
  const peers = Array.from({ length: 64 }, () => shares.add());
  const serve = (us: number) => {
    shares.beginTurn();
    for (const peer of peers) shares.run(peer, () => void (now += us), 0);
  };
  serve(10);
  serve(1000);
  now += 10_000;
  readings = 0;
  const begin = now;
  for (let turns = 0; turns < 100; turns++) serve(4);
  // 6400 requests; each reading is good for 100 µs.
  assertEquals(readings > 0, true);
  assertEquals(readings <= (now - begin) / 100 + 1, true, `${readings}`);
});

Deno.test("a peer that rests wakes nothing, and goes on by itself", () => {
  const { reactor, clock, log, taken } = rig();
  using _reactor = reactor;
  const [ours, theirs] = socketPair();
  using _ours = ours;
  using other = createEventFd();
  const share = reactor.share();
  using _watch = reactor.watch(ours.fd, EPOLLIN, () => {
    clock.now += 5;
    log.push("slow");
  }, share);
  using _other = reactor.watch(
    other.fd,
    EPOLLIN | EPOLLET,
    () => log.push("other"),
    reactor.share(),
  );
  // A hang-up is reported to every mask.
  theirs.close();
  signalFd(other.fd);
  for (let i = 0; i < 2; i++) reactor.turn(0);
  taken();
  for (let i = 0; i < 100; i++) reactor.turn(0);
  assertEquals(taken(), [], "it owes, and the clock stands still");
  clock.now += 1000;
  reactor.turn(1000);
  assertEquals(taken(), ["slow"]);
});

Deno.test("work that is due at times does not rest after a slice that took longer", () => {
  for (const [isPunctual, done] of [[false, 1], [true, 5]] as const) {
    const { reactor, clock, log } = rig();
    using _reactor = reactor;
    using dueFd = createEventFd();
    using other = createEventFd();
    // Another thread had the processor for 4 ms in the midst of the first step.
    using _due = reactor.watch(dueFd.fd, EPOLLIN, () => {
      clock.now += log.push("due") === 2 ? 4 : 0.05;
    }, reactor.share(undefined, { isPunctual }));
    using _other = reactor.watch(
      other.fd,
      EPOLLIN | EPOLLET,
      () => log.push("other"),
      reactor.share(),
    );
    signalFd(other.fd);
    reactor.turn(0);
    signalFd(dueFd.fd);
    for (let i = 0; i < 5; i++) reactor.turn(0);
    assertEquals(log, ["other", ...new Array(done).fill("due")]);
  }
});

Deno.test("a watch that ends while its event is held is never called", () => {
  const { reactor, work, log, taken } = rig();
  using _reactor = reactor;
  using fd = createEventFd();
  const share = reactor.share();
  const watch = reactor.watch(fd.fd, EPOLLIN, () => log.push("stale"), share);
  share.defer(() => {
    work(share);
    log.push("put off");
  });
  signalFd(fd.fd);
  reactor.turn(0);
  watch[Symbol.dispose]();
  using _next = reactor.watch(fd.fd, 0, () => log.push("next"), share);
  for (let i = 0; i < 3; i++) reactor.turn(0);
  assertEquals(taken(), ["put off"]);
});

Deno.test("a task that throws is reported and the peer's others are run", () => {
  const { reactor, log, taken } = rig();
  using _reactor = reactor;
  const share = reactor.share();
  share.defer(() => {
    throw new Error("bang");
  });
  share.defer(() => log.push("next"));
  reactor.turn(0);
  assertEquals(taken(), ["Error: bang", "next"]);
});

Deno.test("what a task puts off waits for a later turn", () => {
  const { reactor, log, taken } = rig();
  using _reactor = reactor;
  const share = reactor.share();
  share.defer(() => {
    log.push("1");
    share.defer(() => log.push("2"));
  });
  reactor.turn(0);
  assertEquals(taken(), ["1"]);
  reactor.turn(Infinity);
  assertEquals(taken(), ["2"]);
});

Deno.test("Reactor.watch() refuses the share of another loop", () => {
  const { reactor } = rig();
  using _reactor = reactor;
  using fd = createEventFd();
  const share: TimeShare = {
    isSpent: false,
    take: () => true,
    defer: () => {},
  };
  assertThrows(() => reactor.watch(fd.fd, EPOLLIN, () => {}, share), TypeError);
});

Deno.test("TimeShare.take() reads the clock once in several units", () => {
  let reads = 0;
  const reactor = new Reactor({
    onError: (error) => {
      throw error;
    },
    now: () => {
      reads++;
      return 0;
    },
  });
  using _reactor = reactor;
  const share = reactor.share();
  let units = 0;
  const go = () => {
    for (let i = 0; i < 640; i++) if (share.take(1)) units++;
  };
  share.defer(go);
  reactor.turn(0);
  assertEquals(units, 640);
  assertEquals(reads < 20, true, `${reads} readings`);
});

Deno.test("a peer that is alone and has one request costs no look at the clock", () => {
  let reads = 0;
  const reactor = new Reactor({
    onError: (error) => {
      throw error;
    },
    now: () => {
      reads++;
      return 0;
    },
  });
  using _reactor = reactor;
  using kick = createEventFd();
  const share = reactor.share();
  let served = 0;
  using _watch = reactor.watch(kick.fd, EPOLLIN | EPOLLET, () => {
    share.take(1);
    served++;
  }, share);
  for (let i = 0; i < 20; i++) {
    signalFd(kick.fd);
    reactor.turn(1000);
    if (i === 9) reads = 0;
  }
  assertEquals([served, reads], [20, 0]);
});

testAlone(import.meta, "what a peer gives away is its own charge", () => {
  const { reactor } = rig();
  using _reactor = reactor;
  const share = reactor.share() as Share;
  const common = new CloseQueue();
  const counts: number[][] = [];
  const close = () => {
    closeElsewhere([createMemFd("one", 4096)]);
    counts.push([share.closes.descriptors, common.descriptors]);
  };
  share.defer(close);
  reactor.turn(0);
  // Beside the peer's slice, nothing is its charge.
  reactor.defer(() => chargeCloses(common));
  reactor.defer(close);
  reactor.turn(0);
  assertEquals(counts[0], [1, 0]);
  assertEquals(counts[1]![1], 1);
  chargeCloses();
  helpersAreDone(10_000);
});
