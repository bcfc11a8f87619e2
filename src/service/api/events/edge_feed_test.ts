import type { ServerResponse } from "node:http";
import { assertEquals } from "@std/assert";
import {
  EdgeSourceDouble,
  edgeStore,
} from "../../../../tests/doubles/edge_store.ts";
import type { EdgesEvent } from "../../../client/edges.ts";
import { EdgeCursor } from "../../record/edge_cursor.ts";
import { EdgeFeeds } from "./edge_feed.ts";
import { EventLog } from "./event_log.ts";

class Answer {
  writableLength = 0;
  text = "";
  isDestroyed = false;

  write(text: string): boolean {
    this.text += text;
    return true;
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  get events(): (EdgesEvent | { event: "lost"; count: number })[] {
    return [...this.text.matchAll(/^data: (.*)$/gm)]
      .map(([, json]) => JSON.parse(json!));
  }

  get numbers(): number[] {
    return this.events.flatMap((event) =>
      "edges" in event ? event.edges.map(({ number }) => number) : []
    );
  }

  get lastId(): string {
    return [...this.text.matchAll(/^id: (.*)$/gm)].at(-1)![1]!;
  }
}

function rig(keep: number) {
  const store = edgeStore(keep);
  const press = new EdgeSourceDouble(store);
  const start = press.begin("press", ["START"]);
  const log = new EventLog<unknown>();
  let lost = 0;
  const feeds = new EdgeFeeds(
    store,
    (edges) => log.id(edges),
    (count) => lost += count,
  );
  return {
    store,
    log,
    feeds,
    lost: () => lost,
    write: (count: number) => {
      for (let i = 0; i < count; i++) press.write(i, start, i % 2 ? 0 : 1);
    },
    listen: (cursor = new EdgeCursor(store)) => {
      const answer = new Answer();
      const response = answer as unknown as ServerResponse;
      feeds.add(response, { cursor, filter: undefined });
      return { answer, response };
    },
    [Symbol.dispose]: () => {
      feeds[Symbol.dispose]();
      press[Symbol.dispose]();
      store[Symbol.dispose]();
    },
  };
}

/** Looks until there is nothing more: a look has a limit of time. */
function lookAll(feeds: EdgeFeeds): void {
  for (let i = 0; i < 1000; i++) feeds.look();
}

const upTo = (count: number, from = 0) =>
  Array.from({ length: count - from }, (_, i) => from + i);

Deno.test("a listener gets every edge once, in order", () => {
  using made = rig(4096);
  const { feeds, write, listen } = made;
  write(5);
  const { answer } = listen();
  write(1000);
  lookAll(feeds);
  write(10);
  lookAll(feeds);
  assertEquals(answer.numbers, upTo(1015, 5));
});

Deno.test("a listener that reads late gets what is kept, and the number of the rest", () => {
  using made = rig(101);
  const { feeds, write, listen, lost } = made;
  const { answer: slow } = listen();
  const { answer: quick } = listen();
  slow.writableLength = 1_000_000;
  write(80);
  lookAll(feeds);
  assertEquals([slow.text, quick.numbers.length], ["", 80]);
  write(70);
  lookAll(feeds);
  slow.writableLength = 0;
  lookAll(feeds);
  assertEquals(slow.events[0], {
    ...slow.events[0]!,
    event: "lost",
    count: 50,
  });
  assertEquals(slow.numbers, upTo(150, 50));
  assertEquals(quick.numbers, upTo(150));
  assertEquals(lost(), 50);
});

Deno.test("a listener that comes back goes on behind its last event", () => {
  using made = rig(4096);
  const { store, log, feeds, write, listen } = made;
  const { answer, response } = listen();
  write(3);
  lookAll(feeds);
  feeds.remove(response);
  write(3);
  const place = log.parseId(answer.lastId)!;
  const { answer: again } = listen(EdgeCursor.of(place.edges, store)!);
  lookAll(feeds);
  assertEquals([answer.numbers, again.numbers], [upTo(3), upTo(6, 3)]);
});

Deno.test("EventLog keeps the last events, and knows ids of its run only", () => {
  const log = new EventLog<number>();
  const first = log.id();
  for (let i = 1; i <= 2000; i++) log.add(i, new Uint8Array(10));
  const { events, lost } = log.after(log.parseId(first)!.number);
  assertEquals([events.length, events[0]!.number, lost], [1024, 977, 976]);
  log.add(2001, new Uint8Array(1_000_000));
  log.add(2002, new Uint8Array(100_000));
  assertEquals(log.after(0).events.map(({ event }) => event), [2002]);
  const other = new EventLog<number>();
  assertEquals(other.parseId(log.id()), undefined);
  for (const bad of ["", "x", `${first}9.x`, log.id().replace(".", ".9")]) {
    assertEquals(log.parseId(bad), undefined, bad);
  }
});
