import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../../config/document/config_error.ts";
import { readUsbredir, withAdapterSockets } from "./usbredir_argument.ts";

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
  ["device=cp2112", 'has no path before "device=cp2112"'],
  ["connect", 'has no path before "connect"'],
  ["connect=/run/a", 'has no path before "connect=/run/a"'],
  ["mode=600,device=ljca", 'has no path before "mode=600"'],
  ["/a,device=ftdi", "device=ftdi is not known"],
  ["/a,device=ljca,device=ljca", "device is given twice"],
  ["/a,connect,connect", "connect is given twice"],
  ["/a,connect,mode=600", "mode is for a socket of ours"],
  ["/a,size=5", 'unknown setting "size=5"'],
  ["/a,conect", 'unknown setting "conect"'],
  ["/a,Connect,device=ljca", 'unknown setting "Connect"'],
] as const;

for (const [text, message] of REFUSED) {
  Deno.test(`readUsbredir() refuses "${text}"`, () => {
    assertThrows(() => readUsbredir(text), ConfigError, message);
  });
}

Deno.test("withAdapterSockets() has QEMU listen where no path is given", () => {
  const args = [
    ...["--usbredir", "device=cp2112", "--line", "device=cp2112"],
    ...["--usbredir=connect,device=ljca", "--usbredir", "/run/a,device=ljca"],
  ];
  assertEquals(withAdapterSockets(args, "/run/x"), [
    ...["--usbredir", "/run/x/usb0.sock,connect,device=cp2112"],
    ...["--line", "device=cp2112"],
    "--usbredir=/run/x/usb1.sock,connect,device=ljca",
    ...["--usbredir", "/run/a,device=ljca"],
  ]);
});
