import { assertEquals } from "@std/assert";
import { MAX_MESSAGE_BYTES, readManagerMessage } from "./manager_message.ts";

const read = (text: string) =>
  readManagerMessage(new TextEncoder().encode(text));

const NOTHING = {
  store: undefined,
  name: "stored",
  isReady: false,
  isStopping: false,
  passedOn: [],
};

Deno.test("readManagerMessage() reads orders about the store", () => {
  assertEquals(read("FDSTORE=1\nFDNAME=line.gpiochip0.4"), {
    ...NOTHING,
    store: "keep",
    name: "line.gpiochip0.4",
  });
  assertEquals(read("FDSTOREREMOVE=1\nFDNAME=a"), {
    ...NOTHING,
    store: "drop",
    name: "a",
  });
});

Deno.test("readManagerMessage() reads a service's state, and what a manager is told of it", () => {
  assertEquals(read("READY=1"), { ...NOTHING, isReady: true });
  assertEquals(read("STOPPING=1"), { ...NOTHING, isStopping: true });
  for (
    const text of ["STATUS=Serving", "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=9"]
  ) assertEquals(read(text), { ...NOTHING, passedOn: [text] });
});

Deno.test("readManagerMessage() passes on nothing that names another process, or anything unknown", () => {
  assertEquals(
    read("MAINPID=1\nNOTIFYACCESS=all\nERRNO=2\nWATCHDOG_USEC=1\nBARRIER=1"),
    NOTHING,
  );
});

Deno.test("readManagerMessage() takes no name that a manager would not take", () => {
  for (const name of ["", "a:b", "a\u0007", "é", "x".repeat(256)]) {
    assertEquals(read(`FDSTORE=1\nFDNAME=${name}`)?.name, "stored", name);
  }
});

Deno.test("readManagerMessage() ignores what is too long, and what is not text", () => {
  assertEquals(read("x".repeat(MAX_MESSAGE_BYTES)), NOTHING);
  assertEquals(read("x".repeat(MAX_MESSAGE_BYTES + 1)), undefined);
  assertEquals(readManagerMessage(new Uint8Array([0xff])), undefined);
});
