import { assertEquals } from "@std/assert";
import { parseChipLines } from "./selection.ts";

Deno.test("parseChipLines() reads a chip and its offsets", () => {
  assertEquals(parseChipLines("gpiochip0/4")?.offsets, [4]);
  assertEquals(parseChipLines("/dev/gpiochip0/0-2,7")?.chip, "/dev/gpiochip0");
  assertEquals(parseChipLines("a/0-2,7,9-9")?.offsets, [0, 1, 2, 7, 9]);
  assertEquals(parseChipLines("usb-serial:F/1")?.chip, "usb-serial:F");
});

Deno.test("parseChipLines() takes what is no offset for a name", () => {
  for (const name of ["ESTOP", "1x", "3-1", "1,", "-1", "99999999"]) {
    assertEquals(parseChipLines(`gpiochip0/${name}`), {
      chip: "gpiochip0",
      name,
      offsets: undefined,
    });
  }
});

Deno.test("parseChipLines() needs a chip and something behind it", () => {
  for (const text of ["", "foo", "/1", "gpiochip0/", "/"]) {
    assertEquals(parseChipLines(text), undefined, text);
  }
});
