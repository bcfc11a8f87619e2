import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../config/config_error.ts";
import { identityOf, isAlive, startTimeOf } from "./process_identity.ts";
import { checkName, type ChipRecord, Records, stateOf } from "./records.ts";

const SELF = identityOf(Deno.pid)!;

function record(changes: Partial<ChipRecord> = {}): ChipRecord {
  return {
    name: "plc0",
    interface: "sysfs",
    maker: SELF,
    isDetached: false,
    lines: [{
      name: "A",
      chip: "gpiochip0",
      chipOffset: 1,
      key: "k",
      offset: 1,
    }],
    ...changes,
  };
}

Deno.test("startTimeOf() reads past a name with blanks and brackets", () => {
  const fields = Array.from({ length: 30 }, (_, i) => `f${i + 4}`);
  assertEquals(startTimeOf(`12 (a) S b)) S ${fields.join(" ")}`), "f22");
  assertEquals(startTimeOf(`12 (x) Z ${fields.join(" ")}`), undefined);
  assertEquals(startTimeOf(""), undefined);
});

Deno.test("isAlive() tells a process from a later one of its number", async () => {
  assertEquals(isAlive(SELF), true);
  assertEquals(isAlive({ ...SELF, startTime: "1" }), false);
  assertEquals(isAlive({ ...SELF, bootId: "another" }), false);
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", "read -r word"],
    stdin: "piped",
  }).spawn();
  const identity = identityOf(child.pid)!;
  assertEquals(isAlive(identity), true);
  await child.stdin.close();
  await child.status;
  assertEquals(isAlive(identity), false);
});

Deno.test("stateOf() tells held, detached and orphaned chips", () => {
  const gone = { ...SELF, startTime: "1" };
  const path = "/dev/gpiochip9";
  assertEquals(stateOf(record()), "held");
  assertEquals(stateOf(record({ maker: gone })), "orphaned");
  assertEquals(
    stateOf(record({ maker: gone, isDetached: true, path })),
    "detached",
  );
  // Its maker died before it was finished.
  assertEquals(stateOf(record({ maker: gone, isDetached: true })), "orphaned");
  assertEquals(
    stateOf(record({ maker: { ...SELF, bootId: "" }, isDetached: true, path })),
    "orphaned",
  );
});

Deno.test("Records keeps what was written, and locks others out", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const records = new Records(`${directory}/a/b`);
    assertEquals(await records.list(), []);
    const first = await records.lock();
    let second = "waits";
    const waiting = records.lock().then((lock) => {
      second = "has it";
      lock[Symbol.dispose]();
    });
    await records.write(record());
    await records.write(
      record({ name: "b", device: "gpio-aggregator.3", inode: "77" }),
    );
    assertEquals(second, "waits");
    first[Symbol.dispose]();
    await waiting;
    assertEquals(second, "has it");
    const found = await records.list();
    assertEquals(found.map(({ name }) => name), ["b", "plc0"]);
    assertEquals(found[1], record());
    assertEquals(
      await Deno.readTextFile(`${records.pathOf(found[0]!)}/device`),
      "gpio-aggregator.3 77\n",
    );
    await records.remove(record());
    await records.remove(record());
    assertEquals((await records.list()).length, 1);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("Records leaves out what is no record of a chip", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const records = new Records(directory);
    const sound = record({
      configfs: `/sys/kernel/config/gpio-aggregator/plc0.${SELF.pid}`,
      device: "gpio-aggregator.0",
      inode: "7",
      guardian: SELF,
    });
    await records.write(sound);
    assertEquals(await records.list(), [sound]);
    for (
      const other of [
        null,
        [],
        "plc0",
        {},
        { ...sound, name: "plc1" },
        { ...sound, maker: null },
        { ...sound, maker: { ...SELF, pid: SELF.pid + 1 } },
        { ...sound, maker: { ...SELF, bootId: 1 } },
        { ...sound, guardian: 5 },
        { ...sound, lines: null },
        { ...sound, lines: [null] },
        { ...sound, lines: [{ ...sound.lines[0], chipOffset: "1" }] },
        { ...sound, device: "../gpio-aggregator.0" },
        { ...sound, configfs: `${sound.configfs}/../../etc` },
      ]
    ) {
      await Deno.writeTextFile(
        `${records.pathOf(sound)}/record.json`,
        JSON.stringify(other),
      );
      assertEquals(await records.list(), [], JSON.stringify(other));
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("checkName() refuses names that are no good for a file", () => {
  checkName("plc-0_a");
  for (const bad of ["", "a/b", ".", "-a", "a.b", "x".repeat(33)]) {
    assertThrows(() => checkName(bad), ConfigError);
  }
});
