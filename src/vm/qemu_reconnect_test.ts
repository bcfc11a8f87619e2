import { assertEquals } from "@std/assert";
import { reconnectOption, reconnectOptionOf } from "./qemu_reconnect.ts";

Deno.test("reconnectOptionOf() knows the option of each QEMU", () => {
  const said = (version: string) =>
    reconnectOptionOf(
      `QEMU emulator version ${version} (Debian 1:${version})\n`,
    );
  assertEquals(said("7.2.22"), ",reconnect=1");
  assertEquals(said("9.1.0"), ",reconnect=1");
  assertEquals(said("9.2.0"), ",reconnect-ms=500");
  assertEquals(said("10.0.8"), ",reconnect-ms=500");
  assertEquals(said("11.1.3"), ",reconnect-ms=500");
  assertEquals(reconnectOptionOf("crosvm 1.0"), "");
  assertEquals(reconnectOptionOf(""), "");
});

Deno.test("reconnectOption() has no answer of a program that is not there", async () => {
  assertEquals(await reconnectOption("/nonexistent/qemu"), "");
});
