import { assert, assertEquals } from "@std/assert";
import { LingeringSocket } from "../tests/doubles/lingering_socket.ts";
import { createEventFd } from "./event_fd.ts";
import { readSmallFile } from "./files.ts";
import {
  areCallsKept,
  chargeCloses,
  closeElsewhere,
  CloseQueue,
  descriptorsElsewhere,
  hangUpElsewhere,
  helpersAreDone,
  isBehindWithCloses,
  MAX_HELPERS,
  MAX_HELPERS_PER_QUEUE,
  unmapElsewhere,
} from "./helper_thread.ts";
import { libc } from "./libc.ts";
import { createMemFd } from "./mem_fd.ts";
import { isOsError } from "./os_error.ts";
import { receive, send } from "./socket_message.ts";
import { socketPair } from "./unix_socket.ts";
import { testAlone } from "../tests/doubles/test_alone.ts";

const LIMIT_MS = 30_000;

/** True at the end of a stream, also where its peer had not read all. */
function isHungUp(fd: number): boolean {
  try {
    return receive(fd, new Uint8Array(1), []) === 0;
  } catch (error) {
    if (!isOsError(error, "ECONNRESET")) throw error;
    return true;
  }
}

function isOpen(fd: number): boolean {
  return libc().fcntl(fd, 1, 0) >= 0;
}

testAlone(import.meta, "closeElsewhere() closes, and waits for nothing", () => {
  const memory = createMemFd("memory", 4096);
  const event = createEventFd();
  const sockets = socketPair();
  const all = [memory, event, ...sockets];
  const numbers = all.map(({ fd }) => fd);
  closeElsewhere(all);
  assert(all.every(({ closed }) => closed));
  closeElsewhere(all);
  assert(helpersAreDone(LIMIT_MS));
  assertEquals(numbers.map(isOpen), [false, false, false, false]);
  assertEquals(descriptorsElsewhere(), 0);
});

testAlone(
  import.meta,
  "closes that hang hold nothing up, beyond the limit neither",
  () => {
    using stack = new DisposableStack();
    const count = MAX_HELPERS + 8;
    for (let i = 0; i < count; i++) {
      closeElsewhere([stack.use(new LingeringSocket(60)).socket]);
    }
    assert(areCallsKept());
    assertEquals(descriptorsElsewhere(), count);
    const stray = createMemFd("stray", 4096);
    const { fd } = stray;
    closeElsewhere([stray]);
    assert(isOpen(fd));
    // Their peers go, and so does all that waits.
    stack.dispose();
    assert(helpersAreDone(LIMIT_MS));
    assertEquals(descriptorsElsewhere(), 0);
    assert(!isOpen(fd));
  },
);

testAlone(
  import.meta,
  "closes of one peer that hang delay no other's",
  () => {
    using stack = new DisposableStack();
    const evil = new CloseQueue();
    const good = new CloseQueue();
    chargeCloses(evil);
    for (let i = 0; i < MAX_HELPERS; i++) {
      closeElsewhere([stack.use(new LingeringSocket(60)).socket]);
    }
    assertEquals(evil.running, MAX_HELPERS_PER_QUEUE);
    assertEquals(evil.descriptors, MAX_HELPERS);
    assert(isBehindWithCloses());
    chargeCloses(good);
    assert(!isBehindWithCloses());
    const memory = createMemFd("memory", 4096);
    const { fd } = memory;
    closeElsewhere([memory]);
    const end = performance.now() + LIMIT_MS;
    while (isOpen(fd)) assert(performance.now() < end, "not closed");
    chargeCloses();
    stack.dispose();
    assert(helpersAreDone(LIMIT_MS));
    assertEquals([evil.descriptors, good.descriptors], [0, 0]);
    chargeCloses(evil);
    assert(!isBehindWithCloses());
    chargeCloses();
  },
);

testAlone(import.meta, "many descriptors are closed by few threads", () => {
  const fds = Array.from({ length: 500 }, () => createMemFd("one", 4096));
  const numbers = fds.map(({ fd }) => fd);
  closeElsewhere(fds);
  assert(helpersAreDone(LIMIT_MS));
  assert(!numbers.some(isOpen));
});

testAlone(
  import.meta,
  "hangUpElsewhere() ends a connection at once, with what waits in it",
  () => {
    using lingering = new LingeringSocket(60);
    const [a, b] = socketPair();
    using ours = a;
    send(ours.fd, new Uint8Array(1), [lingering.socket.fd]);
    lingering.socket.close();
    hangUpElsewhere(b);
    assert(isHungUp(ours.fd));
    assertEquals(helpersAreDone(100), false);
    lingering[Symbol.dispose]();
    assert(helpersAreDone(LIMIT_MS));
  },
);

testAlone(import.meta, "unmapElsewhere() unmaps", () => {
  using file = createMemFd("brief", 8192);
  const pointer = libc().mmap(null, 8192n, 3, 1, file.fd, 0n);
  const maps = () => readSmallFile("/proc/self/maps")!;
  assert(maps().includes("/memfd:brief"));
  unmapElsewhere([{
    address: Deno.UnsafePointer.value(pointer),
    length: 8192,
  }]);
  assert(helpersAreDone(LIMIT_MS));
  assert(!maps().includes("/memfd:brief"));
});
