import { assert, assertEquals, assertThrows } from "@std/assert";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import { AbsentError } from "./errors.ts";
import { locateLine, type WantedLine } from "./locate_line.ts";

/** Returns what another user is told that asks for a line. */
function answer(wanted: Omit<WantedLine, "devicesOnly">): string {
  const error = assertThrows(
    () => locateLine({ ...wanted, devicesOnly: true }),
    AbsentError,
  );
  return error.message.replace(`"${wanted.chip}"`, "CHIP");
}

testSerially(
  "locateLine() with devicesOnly answers the same for all that is no chip",
  () => {
    const directory = Deno.makeTempDirSync();
    const link = `/dev/shm/gpioagg-test-${Deno.pid}`;
    try {
      const file = `${directory}/file`;
      Deno.writeTextFileSync(file, "");
      Deno.symlinkSync("circle", `${directory}/circle`);
      const chips = [
        ...[file, directory, `${directory}/none`, `${directory}/circle`],
        ...[`${file}/below`, "/dev/null", "/dev/none", "/dev", "/dev/"],
        ...[
          "/dev/../etc/passwd",
          "/dev/../etc/none",
          "/dev/./null",
          "/dev//null",
        ],
        ...["null", "none", "..", ".", "4000", "/proc/self/fd/0", "/dev/fd/0"],
        ...["tmp/x", "./x", "../x"],
      ];
      const { success } = new Deno.Command("ln", { args: ["-s", file, link] })
        .outputSync();
      if (success) chips.push(link);
      const answers = chips.map((chip) => answer({ chip, offset: 0 }));
      assertEquals([...new Set(answers)].length, 1, answers.join("\n"));
      assert(answers[0]!.includes("there is no such GPIO chip"));
      assertEquals(
        new Set(chips.map((chip) => answer({ chip, lineName: "A" }))),
        new Set(answers),
      );
    } finally {
      new Deno.Command("rm", { args: ["-f", link] }).outputSync();
      Deno.removeSync(directory, { recursive: true });
    }
  },
);

Deno.test("locateLine() with devicesOnly looks at no path of an identity outside of /dev", () => {
  const answers = [
    { path: "/etc/passwd" },
    { path: "/dev/../etc/passwd" },
    { path: "/dev/null" },
    { device: "/sys/../etc/passwd" },
  ].map((identity) => {
    const [[key = ""] = []] = Object.entries(identity);
    return answer({ identity, offset: 0 }).replace(
      `${key} ${Object.values(identity)[0]}`,
      "IT",
    );
  });
  assertEquals([...new Set(answers)].length, 1, answers.join("\n"));
});

Deno.test("locateLine() keeps the whole name of a chip that is absent, and the reason once", () => {
  const error = assertThrows(
    () => locateLine({ chip: "rack 1: panel", offset: 0 }),
    AbsentError,
  );
  assertEquals(error.reason.startsWith("there is no such chip"), true);
  assertEquals(
    error.message,
    `Cannot find chip "rack 1: panel": ${error.reason}`,
  );
});

Deno.test("locateLine() knows how a line by its offset is written", () => {
  for (const lineName of ["gpiochip970:3", "gpiochip970 3", "gpiochip970.3"]) {
    assertThrows(
      () => locateLine({ lineName }),
      AbsentError,
      "a line by its offset is gpiochip970/3",
    );
  }
});
