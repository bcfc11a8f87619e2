import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { assertEquals } from "@std/assert";
import { EventHub } from "./events.ts";

/** An answer whose client takes nothing, so that it ends late, if at all. */
class Answer extends EventEmitter {
  readonly socket = Object.assign(new EventEmitter(), {
    destroyed: false,
    readableEnded: false,
  });
  destroyed = false;
  text = "";
  writableLength = 0;
  hasEnded = false;

  writeHead(): void {}

  /** Names of the events that were written. */
  get written(): string[] {
    return [...this.text.matchAll(/^event: (\w+)/gm)].map(([, name]) => name!);
  }

  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }

  /** Ends of comments, which follow once everything before them is read. */
  readonly afterComments: (() => void)[] = [];

  write(piece: Uint8Array | string, done: () => void = () => {}): boolean {
    if (this.hasEnded) throw new Error("write after end");
    const text = typeof piece === "string"
      ? piece
      : new TextDecoder().decode(piece);
    if (text === ":\n") this.afterComments.push(done);
    this.text += text;
    return this.writableLength === 0;
  }

  end(): void {
    this.hasEnded = true;
  }
}

const FIRST = new TextEncoder().encode('"aggregators":[]}\n\n');

function rig(firstLimitMs?: number) {
  const interest: boolean[] = [];
  const hub = new EventHub(
    (isWatched) => interest.push(isWatched),
    firstLimitMs,
  );
  const listen = (answer = new Answer()) => {
    hub.add(answer as unknown as ServerResponse, undefined, FIRST);
    return answer;
  };
  const publish = () =>
    hub.publish({ event: "removed", aggregator: "a", detail: "" });
  return {
    hub,
    listen,
    publish,
    interest,
    [Symbol.dispose]: () => hub[Symbol.dispose](),
  };
}

Deno.test("EventHub writes nothing to one who says no more, though he reads nothing", () => {
  using made = rig();
  const { hub, listen, publish, interest } = made;
  const gone = listen();
  const other = listen();
  publish();
  gone.writableLength = 1;
  gone.socket.emit("end");
  publish();
  gone.emit("drain");
  gone.emit("close");
  assertEquals(gone.written, ["snapshot", "removed"]);
  assertEquals(gone.hasEnded, true);
  assertEquals(other.written, ["snapshot", "removed", "removed"]);
  assertEquals([hub.size, interest], [1, [true]]);
  other.socket.emit("end");
  assertEquals([hub.size, interest], [0, [true, false]]);
});

Deno.test("EventHub gives one who has said all a snapshot, and that is it", () => {
  using made = rig();
  const { hub, listen } = made;
  const answer = new Answer();
  answer.socket.readableEnded = true;
  listen(answer);
  assertEquals(answer.written, ["snapshot"]);
  assertEquals([answer.hasEnded, hub.size], [true, 0]);
});

Deno.test("EventHub tells one who reads again what he missed", () => {
  using made = rig();
  const { hub, listen, publish } = made;
  const slow = listen();
  slow.writableLength = 100_000;
  publish();
  publish();
  slow.writableLength = 0;
  slow.emit("drain");
  publish();
  assertEquals(slow.written, ["snapshot", "lost", "removed"]);
  assertEquals(hub.lost, 2);
});

Deno.test("EventHub goes on where no drain follows: the limit was below its mark", () => {
  using made = rig();
  const { hub, listen, publish } = made;
  const slow = listen();
  slow.writableLength = 100_000;
  publish();
  publish();
  assertEquals(slow.afterComments.length, 1);
  slow.writableLength = 0;
  slow.afterComments[0]!();
  publish();
  assertEquals(slow.written, ["snapshot", "lost", "removed"]);
  assertEquals(hub.lost, 2);
});

Deno.test("EventHub lets one go that does not read its first event in time", async () => {
  using made = rig(20);
  const { hub, listen } = made;
  const stalled = new Answer();
  const slow = new Answer();
  stalled.writableLength = slow.writableLength = 100_000;
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  stalled.once("close", resolve);
  listen(slow);
  slow.writableLength = 0;
  slow.emit("drain");
  listen(stalled);
  await closed;
  assertEquals([stalled.destroyed, slow.destroyed, hub.size], [
    true,
    false,
    1,
  ]);
  slow.emit("close");
});

Deno.test("EventHub sends what happened while a snapshot was made, and no more of it", () => {
  using made = rig();
  const { hub, publish } = made;
  const since = hub.since();
  publish();
  since.close();
  const answer = new Answer();
  hub.add(
    answer as unknown as ServerResponse,
    undefined,
    FIRST,
    since,
  );
  publish();
  assertEquals(answer.written, ["snapshot", "removed", "removed"]);
});

Deno.test("EventHub: what all listeners leave unread is bounded too", () => {
  using made = rig();
  const { listen, publish } = made;
  const slow = Array.from({ length: 1000 }, () => listen());
  for (const answer of slow) answer.writableLength = 20_000;
  // 20 MB in all, of which each may have 16 kB.
  publish();
  assertEquals(slow.filter(({ written }) => written.length > 1).length, 0);
  for (const answer of slow.slice(1)) answer.writableLength = 0;
  publish();
  assertEquals(slow[1]!.written.length, 1, "it is told what it lost first");
  slow[1]!.emit("drain");
  publish();
  assertEquals(slow[1]!.written, ["snapshot", "lost", "removed"]);
});
