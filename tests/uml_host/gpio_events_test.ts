/** Edge and info events of src/gpio, on simulated chips. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type EdgeEvent,
  EdgeEventBatch,
  isOsError,
  LineError,
  type LineInfoEvent,
  type LineSettings,
  openChip,
  waitForEvents,
} from "../../mod.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { EVENT_LIMIT_MS, QUIET_MS, settle, simChip } from "./gpio_sim.ts";

const openFds = () => listDirectory("/proc/self/fd").length;
const BOTH: LineSettings = { direction: "input", edge: "both" };
const brief = (events: readonly EdgeEvent[]) =>
  events.map(({ kind, offset, seqno, lineSeqno }) =>
    `${kind} ${offset} ${seqno} ${lineSeqno}`
  );

Deno.test("LineRequest.readEdgeEvents() gives what is there, numbered", async () => {
  await using sim = await simChip({ lines: 4 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [{ offsets: [3, 1], settings: BOTH }],
  });
  assertEquals(request.readEdgeEvents(), []);
  for (const [line, pull] of [[3, "up"], [1, "up"], [3, "down"]] as const) {
    await sim.pull(line, pull);
    await settle();
  }
  assertEquals(brief(request.readEdgeEvents(2)), [
    "rising 3 1 1",
    "rising 1 2 1",
  ]);
  const rest = request.readEdgeEvents();
  assertEquals(brief(rest), ["falling 3 3 2"]);
  assert(rest[0]!.timestampNs > 0n);
  assertEquals(request.readEdgeEvents(), []);
});

Deno.test("LineRequest.readEvents() fills a batch, oldest first", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [{ offset: 0, settings: BOTH }],
  });
  const batch = new EdgeEventBatch(2);
  for (const pull of ["up", "down", "up"] as const) {
    await sim.pull(0, pull);
    await settle();
  }
  assertEquals(request.readEvents(batch), 2);
  assertEquals([batch.kindAt(0), batch.kindAt(1)], [1, 2]);
  assert(batch.timestampAt(0) < batch.timestampAt(1));
  assertEquals(request.readEvents(batch), 1);
  assertEquals([batch.kindAt(0), batch.seqnoAt(0)], [1, 3]);
  assertEquals(request.readEvents(batch), 0);
});

Deno.test("only the edges asked for are reported", async () => {
  await using sim = await simChip({ lines: 2 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [
      { offset: 0, settings: { direction: "input", edge: "rising" } },
      { offset: 1, settings: { direction: "input", edge: "falling" } },
    ],
  });
  for (const pull of ["up", "down"] as const) {
    for (const line of [0, 1]) {
      await sim.pull(line, pull);
      await settle();
    }
  }
  assertEquals(brief(request.readEdgeEvents()), [
    "rising 0 1 1",
    "falling 1 2 1",
  ]);
});

Deno.test("LineRequest.waitEdgeEvents() waits, and gives up in time", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [{ offset: 0, settings: BOTH }],
  });
  const before = performance.now();
  assertEquals(request.waitEdgeEvents(QUIET_MS), false);
  assert(performance.now() - before >= QUIET_MS - 1);
  await sim.pull(0, "up");
  assertEquals(request.waitEdgeEvents(EVENT_LIMIT_MS), true);
  assertEquals(request.waitEdgeEvents(0), true, "waiting reads nothing");
  assertEquals(request.readEdgeEvents().length, 1);
  assertEquals(request.waitEdgeEvents(0), false);
});

Deno.test("waitForEvents() tells which of several have events", async () => {
  await using one = await simChip({ lines: 1 });
  await using two = await simChip({ lines: 1 });
  using first = openChip(one.name);
  using second = openChip(two.name);
  using a = first.requestLines({ lines: [{ offset: 0, settings: BOTH }] });
  using b = second.requestLines({ lines: [{ offset: 0, settings: BOTH }] });
  second.watchLineInfo(0);
  assertEquals(waitForEvents([a, b, second], 0), []);
  await two.pull(0, "up");
  assertEquals(waitForEvents([a, b, second], EVENT_LIMIT_MS), [b]);
  b.close();
  assertEquals(waitForEvents([a, second], EVENT_LIMIT_MS), [second]);
  assertEquals(waitForEvents([], 0), []);
});

Deno.test("the clock of timestamps is the one asked for", async () => {
  await using sim = await simChip({ lines: 2 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [
      { offset: 0, settings: BOTH },
      { offset: 1, settings: { ...BOTH, eventClock: "realtime" } },
    ],
  });
  await sim.pull(0, "up");
  await settle();
  await sim.pull(1, "up");
  await settle();
  const [monotonic, realtime] = request.readEdgeEvents();
  const now = BigInt(Date.now()) * 1_000_000n;
  assert(now - realtime!.timestampNs < 60_000_000_000n);
  assert(monotonic!.timestampNs < now / 2n);
});

Deno.test("a buffer that overflows shows as a gap of numbers", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [{ offset: 0, settings: BOTH }],
    eventBufferSize: 2,
  });
  for (let i = 0; i < 5; i++) {
    await sim.pull(0, i % 2 === 0 ? "up" : "down");
    await settle();
  }
  const events = request.readEdgeEvents();
  assertEquals(events.at(-1)?.seqno, 5);
  assert(events[0]!.seqno > 1, brief(events).join(", "));
});

Deno.test("LineRequest.edgeEvents() yields events as they come", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [{ offset: 0, settings: BOTH }],
  });
  await sim.pull(0, "up");
  const seen: EdgeEvent[] = [];
  for await (const event of request.edgeEvents()) {
    seen.push(event);
    if (seen.length === 3) break;
    setTimeout(() => sim.pull(0, seen.length === 1 ? "down" : "up"), 5);
  }
  assertEquals(brief(seen), ["rising 0 1 1", "falling 0 2 2", "rising 0 3 3"]);
});

Deno.test("a loop that is left loses no event and leaves no fd", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [{ offset: 0, settings: BOTH }],
  });
  const before = openFds();
  for (const pull of ["up", "down", "up"] as const) {
    await sim.pull(0, pull);
    await settle();
  }
  for await (const event of request.edgeEvents()) {
    assertEquals(event.seqno, 1);
    break;
  }
  for await (const event of request.edgeEvents()) {
    assertEquals(event.seqno, 2);
    break;
  }
  assertEquals(request.readEdgeEvents().map(({ seqno }) => seqno), [3]);
  assertEquals(openFds(), before);
});

Deno.test("closing the request ends a loop that waits", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.name);
  const before = openFds();
  const request = chip.requestLines({
    lines: [{ offset: 0, settings: BOTH }],
  });
  setTimeout(() => request.close(), 20);
  const seen: EdgeEvent[] = [];
  for await (const event of request.edgeEvents()) seen.push(event);
  assertEquals(seen, []);
  await settle();
  assertEquals(openFds(), before);
});

Deno.test("unplugging the chip ends a loop with an error, not a spin", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [{ offset: 0, settings: BOTH }],
  });
  const stream = request.edgeEvents();
  const next = stream.next();
  await sim.unplug();
  const error = await assertRejects(() => next, LineError);
  assertEquals(
    error.message,
    `Cannot read events of line 0 of ${sim.name}: the device is gone (ENODEV)`,
  );
  assert(isOsError(error.cause, "ENODEV"));
  assertEquals((await stream.next()).done, true);
  request.close();
  chip.close();
  await sim.plug();
});

Deno.test("two requests are waited for at once, each with its events", async () => {
  await using sim = await simChip({ lines: 2 });
  using chip = openChip(sim.name);
  using a = chip.requestLines({ lines: [{ offset: 0, settings: BOTH }] });
  using b = chip.requestLines({ lines: [{ offset: 1, settings: BOTH }] });
  const nextA = a.edgeEvents().next();
  const nextB = b.edgeEvents().next();
  await sim.pull(1, "up");
  assertEquals((await nextB).value?.offset, 1);
  await sim.pull(0, "up");
  assertEquals((await nextA).value?.offset, 0);
});

Deno.test("a program whose event loop was left ends by itself", async () => {
  await using sim = await simChip({ lines: 1 });
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--cached-only",
      "--allow-ffi",
      new URL("leave_event_loop.ts", import.meta.url).pathname,
      sim.name,
    ],
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(60_000),
  });
  const { code, stdout, stderr } = await child.output();
  assertEquals(
    [code, new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)],
    [0, "disposed true\nreturned true\n", ""],
  );
});

Deno.test("info events tell who takes, changes and leaves a line", async () => {
  await using sim = await simChip({ lines: 2 });
  using watcher = openChip(sim.name);
  using chip = openChip(sim.name);
  assertEquals(watcher.watchLineInfo(1).offset, 1);
  assertThrows(
    () => watcher.watchLineInfo(1),
    LineError,
    `Cannot watch line 1 of ${sim.name}: busy (EBUSY), this chip object watches it already`,
  );
  assertEquals(watcher.readInfoEvents(), []);
  assertEquals(watcher.waitInfoEvents(0), false);
  {
    using other = chip.requestLines({ lines: [{ offset: 0 }] });
    other.reconfigure([{ offset: 0, settings: BOTH }]);
    using request = chip.requestLines({
      consumer: "watched",
      lines: [{ offset: 1, settings: { direction: "input" } }],
    });
    request.reconfigure([{
      offset: 1,
      settings: { direction: "output", outputValue: 1 },
    }]);
  }
  const events: LineInfoEvent[] = [];
  while (events.length < 3) {
    assert(watcher.waitInfoEvents(EVENT_LIMIT_MS));
    events.push(...watcher.readInfoEvents(1));
  }
  assertEquals(
    events.map(({ kind, seqno, info }) => [
      kind,
      seqno,
      info.offset,
      info.consumer,
      info.direction,
    ]),
    [
      ["requested", 1, 1, "watched", "input"],
      ["reconfigured", 2, 1, "watched", "output"],
      ["released", 3, 1, "", "output"],
    ],
  );
  assert(events[0]!.timestampNs <= events[2]!.timestampNs);
  watcher.unwatchLineInfo(1);
  assertThrows(
    () => watcher.unwatchLineInfo(1),
    LineError,
    "busy (EBUSY), it is not under watch",
  );
  chip.requestLines({ lines: [{ offset: 1 }] }).close();
  assertEquals(watcher.waitInfoEvents(QUIET_MS), false);
});

Deno.test("Chip.infoEvents() yields them as they come, until closed", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.name);
  const before = openFds();
  const watcher = openChip(sim.name);
  watcher.watchLineInfo(0);
  setTimeout(() => {
    chip.requestLines({ lines: [{ offset: 0 }] }).close();
  }, 5);
  const kinds: string[] = [];
  for await (const { kind } of watcher.infoEvents()) {
    kinds.push(kind);
    if (kinds.length === 2) setTimeout(() => watcher.close(), 5);
  }
  assertEquals(kinds, ["requested", "released"]);
  await settle();
  assertEquals(openFds(), before);
});

Deno.test("Chip.infoEvents() of a chip that is unplugged end with an error", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.name);
  chip.watchLineInfo(0);
  const next = chip.infoEvents().next();
  await sim.unplug();
  const error = await assertRejects(() => next, LineError);
  assertEquals(
    error.message,
    `Cannot read info events of ${sim.name}: the device is gone (ENODEV)`,
  );
  chip.close();
  await sim.plug();
});

Deno.test("a debounced line reports only what lasts", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [{
      offset: 0,
      settings: { ...BOTH, debouncePeriodUs: 100_000 },
    }],
  });
  await sim.pull(0, "up");
  await sim.pull(0, "down");
  assertEquals(request.waitEdgeEvents(250), false);
  await sim.pull(0, "up");
  assertEquals(request.waitEdgeEvents(EVENT_LIMIT_MS), true);
  assertEquals(request.readEdgeEvents().map(({ kind }) => kind), ["rising"]);
});
