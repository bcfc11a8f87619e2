import { assertEquals, assertThrows } from "@std/assert";
import { Chip } from "./chip.ts";
import { chipPath } from "./chip_nodes.ts";
import { whyNotChip } from "./device_file.ts";
import { LineError } from "./errors.ts";
import { findChip, findLines, listChips, openChip } from "./lookup.ts";

Deno.test("chipPath() takes numbers, names and paths", () => {
  assertEquals(chipPath(3), "/dev/gpiochip3");
  assertEquals(chipPath("12"), "/dev/gpiochip12");
  assertEquals(chipPath("gpiochip0"), "/dev/gpiochip0");
  assertEquals(chipPath("/dev/relays"), "/dev/relays");
});

Deno.test("Chip.open() says what a path leads to instead of a chip", () => {
  const directory = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${directory}/text`, "");
    const cases: [string, string][] = [
      [
        "/dev/null",
        "Cannot open /dev/null: it is a character device of the mem subsystem, not a GPIO chip",
      ],
      [
        `${directory}/text`,
        `Cannot open ${directory}/text: it is a regular file, not a GPIO chip`,
      ],
      [
        directory,
        `Cannot open ${directory}: it is a directory, not a GPIO chip`,
      ],
      [
        "gpiochip4000",
        "Cannot open /dev/gpiochip4000: no such file",
      ],
    ];
    for (const [given, message] of cases) {
      const error = assertThrows(() => Chip.open(given), LineError);
      assertEquals(error.message, message);
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("whyNotChip() follows links", () => {
  const directory = Deno.makeTempDirSync();
  try {
    Deno.symlinkSync("/dev/zero", `${directory}/link`);
    Deno.symlinkSync("nowhere", `${directory}/dangling`);
    assertEquals(
      whyNotChip(`${directory}/link`),
      "it is a character device of the mem subsystem",
    );
    assertEquals(whyNotChip(`${directory}/dangling`), "no such file");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("openChip() of a chip that is not there says which are", () => {
  const error = assertThrows(() => openChip("no such label"), LineError);
  const names = listChips().map((path) => path.slice("/dev/".length));
  assertEquals(
    error.message,
    names.length === 0
      ? 'Cannot open chip "no such label": there is no such chip: this machine has none'
      : `Cannot open chip "no such label": there is no such chip: there are ${
        names.join(", ")
      }`,
  );
  assertThrows(() => openChip(4000), LineError, "Cannot open chip 4000");
});

Deno.test("findChip() answers undefined for what is not there", () => {
  assertEquals(findChip(4000), undefined);
  assertEquals(findChip("/no/such/path"), undefined);
  assertEquals(findChip("no such label"), undefined);
});

Deno.test("openChip() of another device says what that is", () => {
  assertEquals(findChip("null"), "/dev/null");
  assertThrows(
    () => openChip("null"),
    LineError,
    "character device of the mem subsystem, not a GPIO chip",
  );
});

Deno.test("findLines() of a name that is not there", () => {
  assertEquals(findLines("no such line at all"), []);
  assertThrows(
    () => findLines(["no such line at all"], { strict: true }),
    LineError,
    'Cannot find line "no such line at all": no chip has a line of that name',
  );
});
