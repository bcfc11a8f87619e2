import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../config/document/config_error.ts";
import { checkPlaceholders } from "./placeholder_checks.ts";

for (
  const [arg, hint] of [
    ["{qmeu}", "{qemu}"],
    ["{QEMU}", "{qemu}"],
    ["{sockt}", "{socket}"],
    ["path={sockets}", "{socket}"],
    ["{socet:plc}", "{socket}"],
    ["{cloud-hypervsor}", "{cloud-hypervisor}"],
    ["{qemu-pin}", "{qemu-pins}"],
    ["{ulm}", "{uml}"],
  ] as const
) {
  Deno.test(`checkPlaceholders() asks whether ${arg} is ${hint}`, () => {
    for (const isPrivate of [true, false]) {
      const error = assertThrows(
        () => checkPlaceholders(["vmm", "{socket}", arg], isPrivate),
        ConfigError,
        "is not a placeholder",
      );
      assertEquals(error.hint, `Did you mean ${hint}?`);
    }
  });
}

Deno.test("checkPlaceholders() leaves to the VMM what is the VMM's", () => {
  checkPlaceholders([
    "{socket}",
    "{other}",
    "{url}",
    "{xml}",
    "{}",
    '{"driver":"virtio"}',
    'echo "${sockets}"',
    "{1}",
  ], true);
});

Deno.test("checkPlaceholders() wants several arguments in place of one", () => {
  for (const arg of ["exec qemu {qemu}", "-x={uml}", "{qemu:plc}"]) {
    const error = assertThrows(
      () => checkPlaceholders([arg], false),
      ConfigError,
      "stands for several arguments",
    );
    assertEquals(error.path, arg);
  }
});

Deno.test("checkPlaceholders() refuses a VMM that is told of nothing", () => {
  for (const args of [[], ["-m", "1G"], ["{other}"]]) {
    assertThrows(
      () => checkPlaceholders(args, true),
      ConfigError,
      "the VMM is not given its lines' socket",
    );
    // Who chose the path can have told the VMM by other means.
    checkPlaceholders(args, false);
  }
  checkPlaceholders(["-x", "y={socket:plc}"], true);
  checkPlaceholders(["{qemu}"], true);
});
