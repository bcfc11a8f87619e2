import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../../config/document/config_error.ts";
import { readUsbredir } from "./usbredir_argument.ts";

Deno.test("readUsbredir() reads the path, the device and the direction", () => {
  assertEquals(readUsbredir("/run/a,b"), {
    socketPath: "/run/a,b",
    device: "ljca",
  });
  assertEquals(readUsbredir("/run/a,device=cp2112,mode=600,group=kvm"), {
    socketPath: "/run/a",
    device: "cp2112",
    access: { mode: 0o600, group: "kvm" },
  });
  assertEquals(readUsbredir("/run/a,connect"), {
    socketPath: "/run/a",
    device: "ljca",
    connects: true,
  });
});

const REFUSED = [
  ["", "has no path"],
  ["/a,device=ftdi", "device=ftdi is not known"],
  ["/a,device=ljca,device=ljca", "device is given twice"],
  ["/a,connect,connect", "connect is given twice"],
  ["/a,connect,mode=600", "mode is for a socket of ours"],
  ["/a,size=5", 'unknown setting "size=5"'],
] as const;

for (const [text, message] of REFUSED) {
  Deno.test(`readUsbredir() refuses "${text}"`, () => {
    assertThrows(() => readUsbredir(text), ConfigError, message);
  });
}
