import { assertEquals } from "@std/assert";
import { Deadlines } from "../../reactor/deadlines.ts";
import type { EventLoop } from "../../reactor/event_loop.ts";
import { EventLimiter } from "./event_limiter.ts";
import type { ServiceEvent } from "../messages/messages.ts";

function rig() {
  const clock = { now: 0 };
  const deadlines = new Deadlines(() => clock.now);
  const loop: EventLoop = {
    get now() {
      return clock.now;
    },
    watch: () => {
      throw new Error("no fd is watched");
    },
    after: (ms, onElapsed) => deadlines.after(ms, onElapsed),
    defer: (task) => task(),
    share: () => {
      throw new Error("there are no peers");
    },
    onMemoryFault: () => {
      throw new Error("no memory is guarded");
    },
  };
  const passed: string[] = [];
  const limiter = new EventLimiter(
    loop,
    ({ event, detail }) => passed.push(`${event} ${detail}`.trim()),
  );
  const report = (event: ServiceEvent["event"], detail = "") =>
    limiter.report({ aggregator: "a", event, detail });
  const pass = (ms: number) => {
    for (let at = 0; at < ms; at += 100) {
      clock.now += 100;
      deadlines.run((error) => {
        throw error;
      });
    }
    return passed.splice(0);
  };
  return { limiter, report, pass, timers: () => deadlines.size };
}

Deno.test("EventLimiter passes a few events at once", () => {
  const { report, pass } = rig();
  for (let i = 0; i < 5; i++) {
    report("connected");
    report("disconnected", "gone");
  }
  assertEquals(
    pass(0),
    Array(5).fill(["connected", "disconnected gone"]).flat(),
  );
});

Deno.test("EventLimiter passes the last of a flood, every second", () => {
  const { limiter, report, pass } = rig();
  for (let i = 0; i < 1000; i++) report("started");
  assertEquals(pass(0).length, 20);
  report("stopped", "paused");
  assertEquals(pass(900), []);
  assertEquals(pass(100), ["stopped paused; 980 events before it not shown"]);
  report("started");
  assertEquals(pass(1000), ["started"]);
  assertEquals(limiter.leftOut, { started: 980 });
});

Deno.test("EventLimiter sets no timer once all is as at first", () => {
  const { report, pass, timers } = rig();
  for (let i = 0; i < 30; i++) report("started");
  pass(60_000);
  assertEquals(timers(), 0);
  for (let i = 0; i < 20; i++) report("started");
  assertEquals(pass(0).length, 20);
});

Deno.test("EventLimiter passes what it holds back when it ends", () => {
  const { limiter, report, pass } = rig();
  for (let i = 0; i < 21; i++) report("started");
  pass(0);
  limiter[Symbol.dispose]();
  assertEquals(pass(0), ["started"]);
});
