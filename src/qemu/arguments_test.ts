import { assertEquals } from "@std/assert";
import {
  isQemuProgram,
  qemuArguments,
  selectReconnectOption,
} from "./arguments.ts";

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

Deno.test("isQemuProgram() knows the programs of all distributions", () => {
  const programs = [
    "qemu-system-x86_64",
    "/usr/libexec/qemu-kvm",
    "kvm",
    "./qemu-system-aarch64",
    "/opt/qemu/bin/qemu-system-x86_64-microvm",
  ];
  const others = [
    "./qemu.sh",
    "/home/me/vm",
    "qemu-img",
    "sh",
    "kvm-start",
    "",
  ];
  assertEquals(programs.filter(isQemuProgram), programs);
  assertEquals(others.filter(isQemuProgram), []);
});

Deno.test("selectReconnectOption() knows the option of each QEMU", () => {
  assertEquals(
    [[7, 2], [9, 1], [9, 2], [10, 0], [11, 1]].map(([major, minor]) =>
      selectReconnectOption(major!, minor!)
    ),
    [
      ...["reconnect=1", "reconnect=1"],
      ...["reconnect-ms=500", "reconnect-ms=500", "reconnect-ms=500"],
    ],
  );
});
