import { assertEquals } from "@std/assert";
import { nearest, nearestForPeer } from "./nearest.ts";

Deno.test("nearest() finds the likely slip and nothing far-fetched", () => {
  const words = ["serve", "set", "get", "monitor", "on-disconnect"];
  assertEquals(nearest("srve", words), "serve");
  assertEquals(nearest("sevre", words), "serve");
  assertEquals(nearest("sett", words), "set");
  assertEquals(nearest("on-disconect", words), "on-disconnect");
  assertEquals(nearest("monitro", words), "monitor");
  assertEquals(nearest("completely", words), undefined);
  assertEquals(nearest("", words), undefined);
});

Deno.test("nearest() counts no difference in case, but where nothing else differs", () => {
  assertEquals(nearest("estop", ["ESTOP", "STOP"]), "ESTOP");
  assertEquals(nearest("Plc_0", ["plc-0", "PLC-0", "Plc-0"]), "Plc-0");
});

Deno.test("a beginning of one candidate stands for it, of several for none", () => {
  const switches = ["socket-path", "api", "api-look", "line"];
  assertEquals(nearest("socket", switches), "socket-path");
  assertEquals(nearest("api-", switches), "api");
  assertEquals(nearest("so", switches), undefined);
  assertEquals(nearest("sock", [...switches, "socket-mode"]), undefined);
});

Deno.test("nearest() compares with a bounded number of candidates", () => {
  let taken = 0;
  function* candidates(): Generator<string, void> {
    for (; taken < 1_000_000; taken++) yield `${"a".repeat(50)}${taken}`;
  }
  assertEquals(nearest("b".repeat(55), candidates()), undefined);
  assertEquals(taken < 1000, true);
  taken = 0;
  assertEquals(nearestForPeer("b".repeat(55), candidates()), undefined);
  assertEquals(taken < 50, true);
});
