import { assertEquals } from "@std/assert";
import { playSignals } from "../../tests/doubles/raised_signals.ts";
import {
  giveBackThread,
  rehearse,
  startReactorThread,
  takeReactorThread,
} from "../service/reactor/reactor_thread.ts";
import { serve } from "../service/service.ts";
import { rehearseService } from "./rehearsal.ts";

Deno.test("a rehearsal leaves its reactor's thread to what comes next", async () => {
  using _signals = playSignals();
  await startReactorThread();
  const before = takeReactorThread();
  await rehearse(async () => {
    giveBackThread({ ...before, isRehearsal: true });
    for (const hasApi of [false, true]) await rehearseService(serve, hasApi);
  });
  const after = takeReactorThread();
  assertEquals(after.worker === before.worker, true);
  assertEquals(after.isRehearsal, false);
  giveBackThread(after);
});
