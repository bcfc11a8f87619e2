/** Many aggregators one after another, and many listeners at once. */
import { assert, assertEquals } from "@std/assert";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { ApiService } from "../environment/api_service.ts";
import { rounds } from "../environment/rounds.ts";
import { until } from "../environment/wait.ts";
import { assertNoMoreFds, residentMb, settledFdCount } from "./server_usage.ts";

const CYCLES = rounds(10_000, 6000);
/** Cycles after which the service has grown as far as it will. */
const WARM_UP = 4000;
const AT_ONCE = 4;
const LISTENERS = 1000;
/** Of them, so many never read. */
const STALLED = 300;
/** Memory that garbage may take that is not collected yet. **Units**: MB. */
const SLACK_MB = 40;

/** The service with a guest that must be served whatever else happens. */
async function withSteadyGuest(
  action: (service: ApiService, check: () => void) => Promise<void>,
): Promise<void> {
  await using service = await ApiService.start({
    // A small nursery: V8 lets it grow to 32 MB, which would hide a leak. And a
    // small heap: what is never let go ends the process long before the end.
    v8Flags: "--max-semi-space-size=2,--max-old-space-size=40",
    aggregators: { steady: ["sim/1,as=OUT,direction=output"] },
  });
  using frontend = Frontend.open(service.socket("steady"), {
    timeoutMs: 120_000,
  });
  const driver = GpioDriver.attach(frontend);
  let value = 0;
  await action(service, () => {
    value = 1 - value;
    driver.setValue(0, value);
    assertEquals(driver.getValue(0), value);
  });
}

Deno.test(`${CYCLES} aggregators come and go: memory is flat, a guest is served`, async () => {
  await withSteadyGuest(async (service, check) => {
    const { client } = service;
    const { pid } = service.process;
    const cycles = async (from: number, to: number) => {
      let next = from;
      await Promise.all(Array.from({ length: AT_ONCE }, async () => {
        while (next < to) {
          const i = next++;
          const name = `n${i}`;
          // Half of them by the end of a lease.
          if (i % 2 === 0) {
            await using _lease = await client.create({
              name,
              lines: ["sim/4,safe=0"],
            });
          } else {
            await client.createLasting({ name, lines: ["sim/4"] });
            await client.remove(name);
          }
          if (i % 100 === 0) check();
        }
      }));
    };
    await cycles(0, WARM_UP);
    const fds = await settledFdCount(pid);
    const before = residentMb(pid);
    await cycles(WARM_UP, CYCLES);
    const after = residentMb(pid);
    await assertNoMoreFds(pid, fds);
    assert(
      after < before + SLACK_MB,
      `${before} MB after ${WARM_UP} cycles, ${after} MB after ${CYCLES}`,
    );
    assertEquals((await client.list()).length, 1);
    console.log(
      `    resident: ${before.toFixed(0)} MB after ${WARM_UP} cycles, ` +
        `${after.toFixed(0)} MB after ${CYCLES}`,
    );
  });
});

Deno.test(`${LISTENERS} listeners, ${STALLED} of them stalled: all others hear all`, async () => {
  await withSteadyGuest(async (service, check) => {
    const { client } = service;
    const { pid } = service.process;
    await client.list();
    const fds = await settledFdCount(pid);
    await client.createLasting({ name: "sim", lines: ["sim/64,as=LONG_NAME"] });
    const listeners: OwnedFd[] = [];
    const request = new TextEncoder().encode(
      "GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n",
    );
    try {
      for (let i = 0; i < LISTENERS; i++) {
        const fd = connectUnix(service.lookClient.socketPath);
        listeners.push(fd);
        send(fd.fd, request);
      }
      const readers = listeners.slice(STALLED).map((fd) => new Reader(fd));
      const allHave = (text: string) => () => {
        check();
        for (const reader of readers) reader.read();
        return readers.every(({ tail }) => tail.includes(text));
      };
      await until("the snapshots", allHave("event: snapshot"), 120_000);
      const levels = (level: 0 | 1) =>
        Object.fromEntries(
          Array.from({ length: 64 }, (_, i) => [String(i), level]),
        );
      // 64 changed lines are 8 kB for each listener.
      for (let round = 1; round <= 60; round++) {
        await client.pull("sim", levels(round % 2 === 0 ? 0 : 1));
        await new Promise((resolve) => setTimeout(resolve, 25));
        for (const reader of readers) reader.read();
        check();
      }
      await client.createLasting({ name: "last", lines: ["sim/1"] });
      await until(
        "the last event at every listener that reads",
        allHave('"event":"created","aggregator":"last"'),
        120_000,
      );
      for (const reader of readers) assert(!reader.hasLost);
      const resident = residentMb(pid);
      console.log(`    resident: ${resident.toFixed(0)} MB`);
      // A stalled one may hold 64 kB and the event that went beyond.
      assert(resident < 250, `${resident} MB`);
      // Those that begin to read after all are told what they missed. Some of
      // the oldest are ended: all streams together may leave so much unread.
      const late = listeners.slice(0, STALLED).map((fd) => new Reader(fd));
      await until("what was lost", () => {
        for (const reader of late) reader.read();
        return late.some(({ hasLost }) => hasLost);
      });
      const missed = /^gpioagg_event_listeners_missed_total (\d+)$/m
        .exec(await client.metrics());
      assert(Number(missed?.[1]) >= STALLED, `${missed?.[1]} were missed`);
    } finally {
      for (const fd of listeners) fd.close();
    }
    await client.remove("sim");
    await client.remove("last");
    await assertNoMoreFds(pid, fds);
    check();
  });
});

/** One listener: reads what is there, remembers the end of it. */
class Reader {
  tail = "";
  hasLost = false;
  static readonly #piece = new Uint8Array(1 << 18);

  constructor(readonly fd: OwnedFd) {}

  read(): void {
    for (;;) {
      const count = receive(this.fd.fd, Reader.#piece, []);
      if (count <= 0) return;
      const text = this.tail +
        new TextDecoder().decode(Reader.#piece.subarray(0, count));
      this.hasLost ||= text.includes("event: lost");
      this.tail = text.slice(-20_000);
    }
  }
}
