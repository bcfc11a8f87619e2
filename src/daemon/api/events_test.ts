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
  readonly destroyed = false;
  readonly written: string[] = [];
  writableLength = 0;
  hasEnded = false;

  writeHead(): void {}

  write(bytes: Uint8Array): void {
    if (this.hasEnded) throw new Error("write after end");
    this.written.push(
      /event: (\w+)/.exec(new TextDecoder().decode(bytes))![1]!,
    );
  }

  end(): void {
    this.hasEnded = true;
  }
}

function rig() {
  const interest: boolean[] = [];
  const hub = new EventHub((isWatched) => interest.push(isWatched));
  const listen = (answer = new Answer()) => {
    hub.add(answer as unknown as ServerResponse, undefined, {
      event: "snapshot",
      aggregators: [],
    });
    return answer;
  };
  const publish = () =>
    hub.publish({ event: "removed", aggregator: "a", detail: "" });
  return { hub, listen, publish, interest };
}

Deno.test("EventHub writes nothing to one who says no more, though he reads nothing", () => {
  const { hub, listen, publish, interest } = rig();
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
  const { hub, listen } = rig();
  const answer = new Answer();
  answer.socket.readableEnded = true;
  listen(answer);
  assertEquals(answer.written, ["snapshot"]);
  assertEquals([answer.hasEnded, hub.size], [true, 0]);
});

Deno.test("EventHub tells one who reads again what he missed", () => {
  const { hub, listen, publish } = rig();
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
