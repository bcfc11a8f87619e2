import { assert, assertEquals, assertThrows } from "@std/assert";
import { testSerially } from "../../../tests/doubles/test_alone.ts";
import { createEventFd } from "../../../ffi/event_fd.ts";
import { readSmallFile } from "../../../ffi/files.ts";
import { spawnDetached } from "../../../ffi/spawn.ts";
import { waitUntil } from "../../async/wait.ts";
import { StandbyProcess } from "./standby_process.ts";

const LIMIT_MS = 60_000;
/** A frame of the channel, as printf writes it. */
const WARM = `\\x0f\\0\\0\\0\\0\\0\\0\\0{"kind":"warm"}`;

/** The last one of a process that another follows. */
const HANDED_OVER = `\\x16\\0\\0\\0\\0\\0\\0\\0{"kind":"handed-over"}`;

/** A shell in place of the program; FD is its end of the channel. */
function started(script: string) {
  const frees: string[] = [];
  const process = new StandbyProcess([], (fd) => {
    const command = script.replaceAll("FD", String(fd));
    const pid = spawnDetached("/bin/bash", ["bash", "-c", command], {
      inherit: [fd],
    });
    return { pid, started: () => void frees.push("freed") };
  });
  return { process, frees };
}

testSerially(
  "StandbyProcess tells when it is warm, and how it ended",
  async () => {
    const { process, frees } = started(
      // It goes on once it has something to read.
      `printf '${WARM}' >&FD; for i in {1..6000}; do ` +
        "read -r -N 1 -u FD && exit 3; sleep 0.01; done",
    );
    await process.warm;
    assertEquals([frees, process.hasEnded], [["freed"], false]);
    process.end();
    assertEquals(await process.ended, { status: 3 });
    assertEquals(process.hasEnded, true);
    // Nothing is meant by its number any more.
    process.signal("SIGTERM");
    process.kill();
  },
);

testSerially("StandbyProcess goes on to serve if it was stopped", async () => {
  // It goes on once it has something to read.
  const { process } = started(
    "kill -STOP $$; for i in {1..6000}; do " +
      "read -r -N 1 -u FD && exit 3; sleep 0.01; done",
  );
  const isStopped = () =>
    / T /.test(readSmallFile(`/proc/${process.pid}/stat`) ?? "");
  assert(await waitUntil(isStopped, LIMIT_MS), "it does not stop");
  process.serve({
    notifySocket: "/n",
    watchdogUs: undefined,
    storeLimit: 7,
    fds: [],
  });
  assertEquals(await process.ended, { status: 3 });
});

testSerially(
  "StandbyProcess tells that it has handed over before it has ended",
  async () => {
    const { process } = started(
      `printf '${WARM}${HANDED_OVER}' >&FD; exec sleep 600`,
    );
    await process.warm;
    await process.handedOver;
    assertEquals(process.hasEnded, false);
    process.kill();
    assertEquals(await process.ended, { signal: 9 });
  },
);

testSerially("StandbyProcess is killed, and told by signals", async () => {
  for (const how of ["kill", "signal"] as const) {
    const { process } = started("exec sleep 600");
    assertEquals([process.hasEnded, process.isOutdated], [false, false]);
    using fd = createEventFd();
    process.serve({
      notifySocket: "/n",
      watchdogUs: 5,
      storeLimit: 7,
      fds: Array.from({ length: 250 }, (_, i) => [`line.${i}`, fd.fd]),
    });
    process.end();
    if (how === "kill") process.kill();
    else process.signal("SIGTERM");
    assertEquals(await process.ended, { signal: how === "kill" ? 9 : 15 });
  }
});

testSerially("a program that cannot be started is an error", () => {
  assertThrows(
    () =>
      new StandbyProcess([], () => {
        throw new Error("no such program");
      }),
    Error,
    "no such program",
  );
});
