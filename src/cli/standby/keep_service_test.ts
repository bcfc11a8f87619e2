import { assertEquals } from "@std/assert";
import type { ProcessEnd } from "../../../ffi/spawn.ts";
import { playSignals } from "../../../tests/doubles/raised_signals.ts";
import { keepService } from "./keep_service.ts";

Deno.test("keepService() returns the service's exit status, also for a signal", async () => {
  using _signals = playSignals();
  for (
    const [end, status] of [
      [{ status: 2 }, 2],
      [{ signal: 15 }, 143],
    ] as const satisfies [ProcessEnd, number][]
  ) {
    const found = await keepService([], () => ({
      warm: Promise.resolve(),
      handedOver: new Promise<void>(() => {}),
      ended: Promise.resolve(end),
      isOutdated: false,
      hasEnded: true,
      serve: () => {},
      end: () => {},
      signal: () => {},
      kill: () => {},
    }));
    assertEquals(found, status);
  }
});

Deno.test("keepService() tells the service to end when it is told so", async () => {
  using signals = playSignals();
  const ended = Promise.withResolvers<ProcessEnd>();
  const found = keepService([], () => ({
    warm: Promise.resolve(),
    handedOver: new Promise<void>(() => {}),
    ended: ended.promise,
    isOutdated: false,
    hasEnded: false,
    serve: () => signals.raise("SIGTERM"),
    end: () => ended.resolve({ status: 0 }),
    signal: () => {},
    kill: () => {},
  }));
  assertEquals(await found, 0);
});
