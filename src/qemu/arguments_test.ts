import { assertEquals } from "@std/assert";
import { qemuArguments } from "./arguments.ts";

Deno.test("qemuArguments() opens both sockets, whatever is in their paths", () => {
  assertEquals(qemuArguments({ qtest: "/run/a,b/qtest", qmp: "/run/qmp" }), [
    "-qtest",
    "unix:/run/a,,b/qtest,server=on,wait=off",
    "-qtest-log",
    "none",
    "-qmp",
    "unix:/run/qmp,server=on,wait=off",
  ]);
});
