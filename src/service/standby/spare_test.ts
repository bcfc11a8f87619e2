import { assert, assertEquals } from "@std/assert";
import { createEventFd } from "../../../ffi/event_fd.ts";
import { socketPair } from "../../../ffi/unix_socket.ts";
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import { playSignals } from "../../../tests/doubles/raised_signals.ts";
import { waitUntil } from "../../async/wait.ts";
import { ProcessChannel } from "../isolate/process_channel.ts";
import { waitAsSpare } from "./spare.ts";

const LIMIT_MS = 60_000;

/** A keeper's end of the channel to a spare in this process. */
function channel() {
  const [ours, theirs] = socketPair();
  const heard: unknown[] = [];
  const warm = Promise.withResolvers<void>();
  const keeper = new ProcessChannel(ours, {
    message: (value) => {
      heard.push(value);
      warm.resolve();
    },
    ended: () => {},
  });
  return { keeper, heard, warm: warm.promise, fd: theirs.release() };
}

Deno.test("a spare is warm, then serves with what it is given, and ends when told", async () => {
  using _signals = playSignals();
  const { keeper, heard, warm, fd } = channel();
  using _keeper = keeper;
  const told: boolean[] = [];
  const spare = waitAsSpare(fd, (isToServe) => {
    told.push(isToServe());
    return Promise.resolve();
  });
  await warm;
  assertEquals([heard, told], [[{ kind: "warm" }], [false]]);
  using one = createEventFd();
  keeper.send({ kind: "fds", names: ["line.a"] }, [one.fd]);
  keeper.send({ kind: "serve", notifySocket: "/n", storeLimit: 7 });
  using standby = await spare;
  const { fds, lifeFd, ...manager } = standby!.manager;
  assertEquals(manager, {
    notifySocket: "/n",
    watchdogUs: undefined,
    storeLimit: 7,
  });
  assertEquals(fds.map(([name]) => name), ["line.a"]);
  assertEquals(typeof lifeFd, "number");
  for (const [name, number] of fds) new OwnedFd(number, name).close();
  keeper.send({ kind: "end" });
  await standby!.end;
  standby!.handedOver();
  assert(await waitUntil(() => heard.length === 2, LIMIT_MS));
  assertEquals(heard[1], { kind: "handed-over" });
});

Deno.test("a spare without a keeper ends", async () => {
  using _signals = playSignals();
  const { keeper, fd } = channel();
  const spare = waitAsSpare(fd, () => Promise.resolve());
  keeper[Symbol.dispose]();
  assertEquals(await spare, undefined);
});

Deno.test("a service ends by a signal", async () => {
  using signals = playSignals();
  const { keeper, fd } = channel();
  using _keeper = keeper;
  const spare = waitAsSpare(fd, () => Promise.resolve());
  keeper.send({ kind: "serve", notifySocket: "/n", storeLimit: 7 });
  using standby = await spare;
  assertEquals(signals.raise("SIGTERM"), 1);
  await standby!.end;
});

Deno.test("a service whose keeper has ended is killed, and gives up nothing before", async () => {
  using _signals = playSignals();
  const { keeper, fd } = channel();
  const lost = Promise.withResolvers<string>();
  const spare = waitAsSpare(
    fd,
    () => Promise.resolve(),
    () => lost.resolve("killed"),
  );
  keeper.send({ kind: "serve", notifySocket: "/n", storeLimit: 7 });
  using standby = await spare;
  keeper[Symbol.dispose]();
  const ended = standby!.end.then(() => "ended");
  assertEquals(await Promise.race([ended, lost.promise]), "killed");
});
