import { assertEquals } from "@std/assert";
import { CREATE_REQUEST } from "../../client/requests.ts";
import { findSwitch } from "./create_switches.ts";

Deno.test("findSwitch() returns the option that sets a key of the request", () => {
  const cases = [
    ["name", "NAME"],
    ["lines[2]", "--line"],
    ["pausedFor", "--paused-for"],
    ["isolate", "--isolate"],
    ["socket.mode", "--mode"],
    ["kernelChip.owner", "--owner"],
    ["kernelChip.interface", "--kernel-chip interface"],
    ["qemuPins.qtest", "--qemu-pins qtest"],
    ["qemuPins.index", "--qemu-pins index"],
    ["qemuPins.pins.gpioB0", "--qemu-pins gpioB0"],
    ["usbredir.connect", "--usbredir connect"],
    ["--line sim/1", "--line sim/1"],
    ["toString", "toString"],
  ] as const;
  for (const [path, name] of cases) assertEquals(findSwitch(path), name);
});

Deno.test("findSwitch() knows every key of the request", () => {
  for (const key of Object.keys(CREATE_REQUEST.fields)) {
    assertEquals(/^(--[a-z]|NAME)/.test(findSwitch(key)), true, key);
  }
});
