import { assertEquals } from "@std/assert";
import { EventEmitter } from "node:events";
import type { AggregatorDescription } from "../../messages/messages.ts";
import { ForceRoute } from "./force_route.ts";
import type { Exchange } from "../requests/routes.ts";

const PEER = { pid: 7, uid: 1000, gid: 100 };

/** A client's connection, and what it is told. */
class ResponseDouble extends EventEmitter {
  headersSent = false;
  destroyed = false;
  writableEnded = false;
  readonly told: Record<string, unknown>[] = [];

  writeHead(): void {
    this.headersSent = true;
  }

  write(line: string): void {
    this.told.push(JSON.parse(line));
  }

  end(): void {
    this.writableEnded = true;
  }
}

Deno.test("only the process that has the lines says that a force is over", async () => {
  const described: AggregatorDescription = {
    name: "press",
    presentation: "",
    connected: false,
    lines: [],
  };
  const body = { lines: { START: 1 }, for: "10s", reason: "test" };
  const route = new ForceRoute(
    {
      reactor: { force: () => Promise.resolve(described) },
      bodies: {
        read: (
          _request: unknown,
          _peer: unknown,
          read: (body: unknown) => unknown,
        ) => Promise.resolve({ body, read: read(body) }),
      },
      audit: { record: () => Promise.resolve() },
      show: () => Promise.resolve(),
      toState: (one: AggregatorDescription) => ({ lease: "none", ...one }),
    } as unknown as ConstructorParameters<typeof ForceRoute>[0],
  );
  const response = new ResponseDouble();
  await route.begin({
    request: { socket: new EventEmitter() },
    response,
    peer: PEER,
    name: "press",
    query: new URLSearchParams(),
    attempt: { aggregator: "press" },
  } as unknown as Exchange);
  const ended = (aggregator: string, detail: string) =>
    route.ended({ aggregator, event: "unforced", detail, force: "1" });
  ended("other", "a lie");
  assertEquals([response.told.length, response.writableEnded], [1, false]);
  ended("press", "its time is over");
  assertEquals(response.told.at(-1), { ended: "its time is over" });
  assertEquals(response.writableEnded, true);
});
