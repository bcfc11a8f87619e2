import { assertEquals } from "@std/assert";
import { checkDirectory, checkSocket } from "./check_files.ts";

Deno.test("a directory that a unit makes at its start may be missing before", () => {
  for (const look of [checkDirectory, checkSocket]) {
    const file = look === checkSocket ? "/x.sock" : "";
    const isNote = (directory: string) =>
      look(`${directory}${file}`).map(({ isNote }) => isNote === true);
    assertEquals(isNote("/run/gpioagg-none-of-that-name"), [true]);
    assertEquals(isNote("/run/none-of-that-name"), [false]);
    assertEquals(isNote("/run/gpioagg-none-of-that-name/deeper"), [false]);
  }
});
