import { assertEquals } from "@std/assert";
import { playSignals } from "../../../tests/doubles/raised_signals.ts";
import {
  returnThread,
  startReactorThread,
  takeReactorThread,
  warmUpReactor,
} from "../../service/reactor/reactor_thread.ts";
import { serve } from "../../service/service.ts";
import { warmUpService } from "./warm_up.ts";

Deno.test("a warm-up leaves its reactor's thread to what comes next", async () => {
  using _signals = playSignals();
  await startReactorThread();
  const before = takeReactorThread();
  await warmUpReactor(async () => {
    returnThread({ ...before, isWarmUp: true });
    for (const hasApi of [false, true]) await warmUpService(serve, hasApi);
  });
  const after = takeReactorThread();
  assertEquals(after.worker === before.worker, true);
  assertEquals(after.isWarmUp, false);
  returnThread(after);
});
