import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ConfigError } from "../config/document/config_error.ts";
import { checkForSysfs, newDeviceText } from "./driver.ts";

function lines(...wanted: [key: string, offset: number, name?: string][]) {
  return wanted.map(([key, offset, name]) => ({
    title: `--line ${key}/${offset}`,
    position: {},
    key,
    offset,
    name: name ?? "",
    isNameRequested: name !== undefined,
    chip: "gpiochip0",
    chipOffset: offset,
  }));
}

function failure(...wanted: [key: string, offset: number, name?: string][]) {
  return assertThrows(() => checkForSysfs(lines(...wanted)), ConfigError)
    .message;
}

Deno.test("newDeviceText() writes rising offsets as one list, and keeps every order", () => {
  assertEquals(
    newDeviceText(lines(["a", 0], ["a", 1], ["a", 2], ["a", 7])),
    "a 0-2,7",
  );
  assertEquals(
    newDeviceText(lines(["a", 3], ["a", 1], ["a", 2], ["b", 0], ["a", 9])),
    "a 3 a 1-2 b 0 a 9",
  );
  assertEquals(newDeviceText(lines(["GPIO bank", 4])), '"GPIO bank" 4');
  // The kernel sees a blank in the last byte of the à.
  assertEquals(newDeviceText(lines(["voilàx", 4])), '"voilàx" 4');
});

Deno.test("checkForSysfs() refuses what the sysfs interface cannot say", () => {
  checkForSysfs(lines(["soc", 511], ["soc", 3]));
  assertStringIncludes(failure(["soc", 1, "NAME"]), "as=NAME");
  assertStringIncludes(failure(["soc", 512]), "offsets below 512");
  assertStringIncludes(failure(["LONE", -1]), 'the line "LONE"');
  assertStringIncludes(failure(["a=b", 1]), '"a=b"');
  const many = Array.from(
    { length: 500 },
    (_, i) =>
      ["a-chip-with-a-long-label", i % 2 === 0 ? 1 : 0] as [
        string,
        number,
      ],
  );
  assertStringIncludes(failure(...many), "does not support 500 lines");
  // More than 4095 bytes, but not as many letters.
  const wide = Array.from(
    { length: 160 },
    (_, i): [string, number] => ["äöüäöüäöüäöü", 159 - i],
  );
  assertStringIncludes(failure(...wide), "does not support 160 lines");
});
