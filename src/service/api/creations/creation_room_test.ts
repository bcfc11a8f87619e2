import { assertEquals, assertThrows } from "@std/assert";
import {
  CreationRoom,
  MAX_CLIENT_LINES,
  MAX_CLIENT_PROCESSES,
} from "./creation_room.ts";
import { HttpError } from "../requests/messages.ts";

const size = (lines: number, isIsolated = false) => ({ lines, isIsolated });

Deno.test("clients cannot have more lines together than the service has room for", () => {
  const room = new CreationRoom();
  const first = room.take(size(4096));
  room.take(size(MAX_CLIENT_LINES - 4096));
  const error = assertThrows(
    () => room.take(size(1)),
    HttpError,
    "65536 lines",
  );
  assertEquals(error.status, 409);
  first[Symbol.dispose]();
  // Once only.
  first[Symbol.dispose]();
  room.take(size(4096));
  assertThrows(() => room.take(size(1)), HttpError);
});

Deno.test("clients cannot have more processes together than the service has threads for", () => {
  const room = new CreationRoom();
  // From before a restart, when there may have been another limit.
  room.keep(size(MAX_CLIENT_LINES));
  assertThrows(() => room.take(size(1)), HttpError);
  const others = new CreationRoom();
  const taken = Array.from(
    { length: MAX_CLIENT_PROCESSES },
    () => others.take(size(1, true)),
  );
  assertThrows(() => others.take(size(1, true)), HttpError, "32 processes");
  others.take(size(1));
  taken[0]![Symbol.dispose]();
  others.take(size(1, true));
});
