import { assert, assertEquals, assertRejects } from "@std/assert";
import { createEventFd, drainFd, signalFd } from "../../ffi/event_fd.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { EventStream } from "./event_stream.ts";
import { whenEvents } from "./wait.ts";
import { settledFds } from "../../tests/doubles/open_fds.ts";
import { testAlone } from "../../tests/doubles/test_alone.ts";

const openFds = () => listDirectory("/proc/self/fd").length;

/** A stream of numbers that counts the notifications of an eventfd. */
function counting() {
  const fd = createEventFd();
  let count = 0;
  let fails = false;
  let ends = 0;
  const stream = new EventStream<number>(
    {
      fd: fd.fd,
      read() {
        if (fails) throw new Error("the chip is gone");
        return drainFd(fd.fd) > 0 ? ++count : undefined;
      },
    },
    () => ends++,
  );
  return {
    fd,
    stream,
    fail: () => {
      fails = true;
      signalFd(fd.fd);
    },
    ends: () => ends,
  };
}

Deno.test("EventStream yields what is there and waits for more", async () => {
  const { fd, stream } = counting();
  const seen: number[] = [];
  signalFd(fd.fd);
  for await (const event of stream) {
    seen.push(event);
    if (event === 3) break;
    setTimeout(() => signalFd(fd.fd), 1);
  }
  assertEquals(seen, [1, 2, 3]);
  fd.close();
});

testAlone(
  import.meta,
  "EventStream left with break has ended and holds nothing",
  async () => {
    const before = openFds();
    const { fd, stream, ends } = counting();
    signalFd(fd.fd);
    for await (const _ of stream) break;
    assertEquals(ends(), 1);
    assertEquals(await stream.next(), { done: true, value: undefined });
    fd.close();
    assertEquals(openFds(), before);
  },
);

testAlone(import.meta, "EventStream.end() ends a loop that waits", async () => {
  const before = openFds();
  const { fd, stream, ends } = counting();
  const loop = (async () => {
    let count = 0;
    for await (const _ of stream) count++;
    return count;
  })();
  await new Promise((resolve) => setTimeout(resolve, 10));
  stream.end();
  fd.close();
  assertEquals(await loop, 0);
  assertEquals(ends(), 1);
  assertEquals(await settledFds(before), before);
});

Deno.test("EventStream.return() ends a next() that waits", async () => {
  const { fd, stream } = counting();
  const next = stream.next();
  assertEquals(await stream.return(), { done: true, value: undefined });
  assertEquals(await next, { done: true, value: undefined });
  fd.close();
});

Deno.test("EventStream is disposed with await using", async () => {
  const { fd, stream, ends } = counting();
  const next = stream.next();
  {
    await using own = stream;
    assert(own === stream);
  }
  assertEquals(ends(), 1);
  assertEquals((await next).done, true);
  fd.close();
});

Deno.test("EventStream passes an error on, once, and has ended", async () => {
  const { fd, stream, fail, ends } = counting();
  const next = stream.next();
  fail();
  await assertRejects(() => next, Error, "the chip is gone");
  assertEquals(ends(), 1);
  assertEquals((await stream.next()).done, true);
  fd.close();
});

Deno.test("two EventStreams share one helper and end on their own", async () => {
  const a = counting();
  const b = counting();
  const nextA = a.stream.next();
  const nextB = b.stream.next();
  a.stream.end();
  assertEquals((await nextA).done, true);
  signalFd(b.fd.fd);
  assertEquals(await nextB, { done: false, value: 1 });
  await b.stream.return();
  a.fd.close();
  b.fd.close();
});

Deno.test("EventStream lets timers run while events come without a pause", async () => {
  using fd = createEventFd();
  let count = 0;
  const stream = new EventStream<number>(
    { fd: fd.fd, read: () => ++count },
    () => {},
  );
  let fired = false;
  setTimeout(() => fired = true, 1);
  const deadline = performance.now() + 10_000;
  for await (const _ of stream) {
    if (fired || performance.now() > deadline) break;
  }
  assert(fired, `no timer ran during ${count} events`);
});

Deno.test("EventStream ends with its signal's reason, waiting or not", async () => {
  const reason = new Error("enough");
  for (const whenMs of [0, 10]) {
    using fd = createEventFd();
    let ends = 0;
    const controller = new AbortController();
    const stream = new EventStream<number>(
      { fd: fd.fd, read: () => undefined },
      () => ends++,
      controller.signal,
    );
    if (whenMs === 0) controller.abort(reason);
    else setTimeout(() => controller.abort(reason), whenMs);
    assertEquals(await assertRejects(() => stream.next()), reason);
    assertEquals(ends, 1);
  }
});

Deno.test("whenEvents() waits for the first of several, for a time or a signal", async () => {
  using one = createEventFd();
  using other = createEventFd();
  const sources = [{ fd: one.fd }, { fd: other.fd }];
  assertEquals(await whenEvents(sources, { timeoutMs: 0 }), []);
  assertEquals(await whenEvents(sources, { timeoutMs: 5 }), []);
  setTimeout(() => signalFd(other.fd), 5);
  assertEquals(await whenEvents(sources), [sources[1]!]);
  drainFd(other.fd);
  const controller = new AbortController();
  const reason = new Error("enough");
  setTimeout(() => controller.abort(reason), 5);
  const { signal } = controller;
  assertEquals(
    await assertRejects(() => whenEvents(sources, { signal })),
    reason,
  );
  await assertRejects(
    () => whenEvents(sources, { timeout: 5 } as never),
    TypeError,
    "did you mean timeoutMs?",
  );
});
