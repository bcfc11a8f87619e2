/**
 * Guests that come and go, in a process that is killed in their midst: works
 * until then, or until its standard input is closed.
 *
 * Usage: passing_guest.ts DIRECTORY COUNT SEED
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import {
  Direction,
  GpioDriver,
  IrqType,
} from "../../src/vhost_frontend/driver.ts";
import { ConnectionError } from "../../src/vhost_frontend/errors.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import type { OrderName } from "../../src/vhost_frontend/orders.ts";
import { Random } from "../fuzz/ring_fuzz_random.ts";
import { passingName } from "./plan.ts";

/** Guests that this process has at a time. */
const AT_ONCE = 8;
const PAUSE_MS = 5;
const ORDERS: readonly OrderName[] = ["qemu", "crosvm", "uml"];

if (import.meta.main) {
  const [directory = "", count, seed] = Deno.args;
  const random = new Random(Number(seed));
  const guests: Frontend[] = [];
  let isOver = false;
  void (async () => {
    for await (const _ of Deno.stdin.readable) { /* nothing is sent */ }
    isOver = true;
  })();
  console.log("ready");
  while (!isOver) {
    try {
      if (guests.length === AT_ONCE) {
        guests.splice(random.below(AT_ONCE), 1)[0]![Symbol.dispose]();
      }
      const name = passingName(random.below(Number(count)));
      // Another guest may be there: then this one waits in line, and is lost.
      const frontend = Frontend.open(`${directory}/${name}.sock`, {
        timeoutMs: 500,
        order: random.pick(ORDERS),
      });
      guests.push(frontend);
      const driver = GpioDriver.attach(frontend);
      driver.setOutput(0, random.below(2), Direction.Output);
      driver.setInterruptType(1, IrqType.EdgeBoth);
      driver.arm(1);
      const next = random.below(8);
      if (next < 2) frontend.pause();
      else if (next < 4) driver.restart();
    } catch (error) {
      const isExpected = error instanceof ConnectionError ||
        error instanceof Error && error.name === "WaitTimeoutError" ||
        isOsError(error);
      if (!isExpected) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  for (const guest of guests) guest[Symbol.dispose]();
}
