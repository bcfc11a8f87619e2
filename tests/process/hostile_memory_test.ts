/**
 * A frontend whose memory goes away, beside one that is served on: the process
 * must survive, and say what happened.
 */
import { assertEquals } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { ConnectionError } from "../../src/vhost_frontend/errors.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { Service } from "../environment/service.ts";

/** Waits until the backend hangs up. */
function waitForEnd(frontend: Frontend): void {
  try {
    for (;;) frontend.client.connection.receive("the end of the connection");
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
  }
}

Deno.test("guest memory that is truncated ends its session only", async () => {
  await using service = await Service.start({
    plc0: ["sim/4"],
    plc1: ["sim/4"],
  });
  using good = Frontend.open(service.socket("plc1"), { timeoutMs: 120_000 });
  const driver = GpioDriver.attach(good);
  {
    using evil = Frontend.open(service.socket("plc0"), { timeoutMs: 120_000 });
    evil.start();
    for (const region of evil.memory.regions) {
      libc().ftruncate(region.fd.fd, 0n);
    }
    for (const index of [0, 1]) evil.kick(index);
    waitForEnd(evil);
  }
  assertEquals(service.process.status, undefined);
  assertEquals(driver.getValue(0), 0);
  await service.process.waitFor(
    /guest memory at 0x[0-9a-f]+: its file has no page there any more/,
  );
  using next = Frontend.open(service.socket("plc0"), { timeoutMs: 120_000 });
  assertEquals(GpioDriver.attach(next).getValue(3), 0);
});
