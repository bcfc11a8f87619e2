import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { OsError } from "../../ffi/os_error.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { limitWrites, QUOTA_REASON } from "../../tests/doubles/disk_quota.ts";
import { FullDisk, lacksMounts } from "../../tests/doubles/full_disk.ts";
import { testAlone, testSerially } from "../../tests/doubles/test_alone.ts";
import { testLarge } from "../../tests/doubles/test_large.ts";
import { openDirectory, UntrustedPathError } from "../../ffi/trusted_path.ts";
import { CHIP_NAME } from "../config/values/values.ts";
import {
  identifyProcess,
  isAlive,
  parseStartTime,
} from "./process_identity.ts";
import { LivenessLock } from "./liveness_lock.ts";
import { type ChipRecord, deriveState, newId, Records } from "./records.ts";
import { lacksRoot } from "../../tests/doubles/skipped.ts";

const SELF = identifyProcess(Deno.pid)!;

function record(changes: Partial<ChipRecord> = {}): ChipRecord {
  return {
    name: "plc0",
    id: "plc0.0123456789abcdef",
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

Deno.test("parseStartTime() reads past a name with blanks and brackets", () => {
  const fields = Array.from({ length: 30 }, (_, i) => `f${i + 4}`);
  assertEquals(parseStartTime(`12 (a) S b)) S ${fields.join(" ")}`), "f22");
  assertEquals(parseStartTime(`12 (x) Z ${fields.join(" ")}`), undefined);
  assertEquals(parseStartTime(""), undefined);
});

testSerially(
  "isAlive() tells a process from a later one of its number",
  async () => {
    assertEquals(isAlive(SELF), true);
    assertEquals(isAlive({ ...SELF, startTime: "1" }), false);
    assertEquals(isAlive({ ...SELF, bootId: "another" }), false);
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", "read -r word"],
      stdin: "piped",
    }).spawn();
    const identity = identifyProcess(child.pid)!;
    assertEquals(isAlive(identity), true);
    await child.stdin.close();
    await child.status;
    assertEquals(isAlive(identity), false);
  },
);

Deno.test("isAlive() sees no process of another PID namespace", () => {
  assertEquals(isAlive({ ...SELF, pidNamespace: "pid:[1]" }), false);
});

Deno.test("deriveState() tells held, detached and orphaned chips", () => {
  const path = "/dev/gpiochip9";
  assertEquals(deriveState(record(), true), "held");
  assertEquals(deriveState(record(), false), "orphaned");
  assertEquals(
    deriveState(record({ isDetached: true, path }), false),
    "detached",
  );
  // Its maker died before it was finished.
  assertEquals(deriveState(record({ isDetached: true }), false), "orphaned");
  const maker = { ...SELF, bootId: "" };
  for (const isDetached of [true, false]) {
    assertEquals(
      deriveState(record({ maker, isDetached, path }), true),
      "orphaned",
    );
  }
});

Deno.test("newId() makes an unused id", () => {
  const [one, other] = [newId("plc0"), newId("plc0")];
  assertMatch(one, /^plc0\.[0-9a-f]{16}$/);
  assertNotEquals(one, other);
});

/** Records in a directory of their own. */
async function rig() {
  const directory = await Deno.makeTempDir();
  return {
    directory,
    records: new Records(`${directory}/a/b`),
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

Deno.test("Records keeps what was written, and locks others out", async () => {
  await using it = await rig();
  const { records } = it;
  assertEquals([records.isEmpty, await records.list()], [true, []]);
  const first = await records.lock();
  let second = "waits";
  const waiting = records.lock().then((lock) => {
    second = "has it";
    lock[Symbol.dispose]();
  });
  const other = record({ name: "b", id: newId("b") });
  using _one = records.begin(record());
  using _other = records.begin(other);
  await records.write(record());
  await records.write(other);
  assertEquals(second, "waits");
  first[Symbol.dispose]();
  await waiting;
  assertEquals(second, "has it");
  assertEquals(await records.list(), [
    { ...other, state: "held" },
    { ...record(), state: "held" },
  ]);
  await records.remove(record());
  await records.remove(record());
  assertEquals((await records.list()).length, 1);
  assertEquals(records.isEmpty, false);
  // Who may open it may keep everybody waiting.
  const lock = await Deno.stat(`${it.directory}/a/b/lock`);
  assertEquals(lock.mode! & 0o777, 0o600);
});

Deno.test("Records takes a maker for alive that holds its mark, whatever its number means here", async () => {
  await using it = await rig();
  const { records } = it;
  const maker = { ...SELF, pid: 1, startTime: "1", pidNamespace: "pid:[1]" };
  const mine = record({ maker });
  const states = async () => (await records.list()).map(({ state }) => state);
  await records.lock().then((lock) => lock[Symbol.dispose]());
  const mark = records.begin(mine);
  await records.write(mine);
  assertEquals(await states(), ["held"]);
  // Two that look at the same time do not take each other for the maker.
  const path = `${records.recordPath(mine)}/alive`;
  mark[Symbol.dispose]();
  using looking = await Deno.open(path);
  assertEquals(await looking.tryLock(false), true);
  assertEquals(await states(), ["orphaned"]);
  // Without a mark only a maker that can be seen is given up.
  await Deno.remove(path);
  {
    using recordDirectory = openDirectory(records.recordPath(mine));
    assertEquals(LivenessLock.isHeld(recordDirectory, "alive"), undefined);
  }
  assertEquals(await states(), ["held"]);
  await records.write({ ...mine, maker: { ...SELF, startTime: "1" } });
  assertEquals(await states(), ["orphaned"]);
});

Deno.test("Records clears away what makers left that died before they wrote anything", async () => {
  await using it = await rig();
  const { records, directory } = it;
  using _lock = await records.lock();
  using _mark = records.begin(record());
  await records.write(record());
  const dead = { id: newId("dead") };
  records.begin(dead)[Symbol.dispose]();
  await Deno.mkdir(`${directory}/a/b/something else`);
  await records.sweep();
  const names = Deno.readDirSync(`${directory}/a/b`).map(({ name }) => name);
  assertEquals([...names].sort(), ["lock", record().id, "something else"]);
});

Deno.test("Records leaves out what is no record of a chip", async () => {
  await using it = await rig();
  const { records } = it;
  await records.lock().then((lock) => lock[Symbol.dispose]());
  const sound = record({
    configfs: `/sys/kernel/config/gpio-aggregator/${record().id}`,
    devicesBefore: ["gpio-aggregator.3 99"],
    device: "gpio-aggregator.0",
    inode: "7",
    guardian: SELF,
  });
  using _mark = records.begin(sound);
  await records.write(sound);
  assertEquals(await records.list(), [{ ...sound, state: "held" }]);
  for (
    const other of [
      null,
      [],
      "plc0",
      {},
      { ...sound, name: "plc1" },
      { ...sound, id: "plc0.fedcba9876543210" },
      { ...sound, maker: null },
      { ...sound, maker: { ...SELF, bootId: 1 } },
      { ...sound, maker: { ...SELF, pidNamespace: undefined } },
      { ...sound, interface: "procfs" },
      { ...sound, guardian: 5 },
      { ...sound, lines: null },
      { ...sound, lines: [null] },
      { ...sound, lines: [{ ...sound.lines[0], chipOffset: "1" }] },
      { ...sound, lines: [{ ...sound.lines[0], key: 1 }] },
      { ...sound, device: "../gpio-aggregator.0" },
      { ...sound, devicesBefore: [1] },
      { ...sound, configfs: `${sound.configfs}/../../etc` },
    ]
  ) {
    await Deno.writeTextFile(
      `${records.recordPath(sound)}/record.json`,
      JSON.stringify(other),
    );
    assertEquals(await records.list(), [], JSON.stringify(other));
  }
});

/** Ends what waits for ever: a test that fails is better than one that hangs. */
const LIMIT_MS = 60_000;

testSerially(
  "Records reads no record that is not a regular file of bounded size",
  async () => {
    await using it = await rig();
    const { records } = it;
    using _mark = records.begin(record());
    await records.write(record());
    const path = `${records.recordPath(record())}/record.json`;
    const text = await Deno.readTextFile(path);
    const plant = async (script: string) => {
      await Deno.remove(path);
      const { success } = await new Deno.Command("sh", {
        args: ["-c", script, "sh", path],
      }).output();
      assert(success, script);
    };
    await Deno.writeTextFile(`${it.directory}/elsewhere`, text);
    for (
      const script of [
        'mkfifo "$1"',
        `ln -s ${it.directory}/elsewhere "$1"`,
        'mkdir "$1"',
        'ln -s /dev/zero "$1"',
        'truncate -s 10G "$1"',
      ]
    ) {
      await plant(script);
      const listed = records.list();
      assertEquals(await Promise.race([listed, overdue()]), [], script);
      // As far as sweeping goes it is there.
      await records.sweep();
      assert(fileStatus(path, { followLinks: false }) !== undefined, script);
    }
    // A mark that would wait is none that can be told of.
    await plant(`cp ${it.directory}/elsewhere "$1"`);
    const mark = `${records.recordPath(record())}/alive`;
    await Deno.remove(mark);
    await new Deno.Command("mkfifo", { args: [mark] }).output();
    const states = (await records.list()).map(({ state }) => state);
    assertEquals(states, ["held"]);
    await records.remove(record());
    assertEquals(await records.list(), []);
  },
);

function overdue(): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve("too late"), LIMIT_MS);
    Deno.unrefTimer(timer);
  });
}

Deno.test("Records follows no link to records elsewhere, and uses no directory of others", async () => {
  await using it = await rig();
  const { records, directory } = it;
  using _mark = records.begin(record());
  await records.write(record());
  const moved = `${directory}/moved`;
  await Deno.rename(records.recordPath(record()), moved);
  await Deno.symlink(moved, records.recordPath(record()));
  assertEquals(await records.list(), []);
  await records.remove(record());
  assert(fileStatus(`${moved}/record.json`) !== undefined);
  await Deno.rename(`${directory}/a/b`, `${directory}/a/c`);
  await Deno.symlink("c", `${directory}/a/b`);
  await assertRejects(() => records.list(), UntrustedPathError);
  await Deno.remove(`${directory}/a/b`);
  await Deno.mkdir(`${directory}/a/b`);
  await Deno.chmod(`${directory}/a/b`, 0o777);
  await assertRejects(() => records.lock(), UntrustedPathError, "every user");
});

/** Makes entries that `seq` names, much faster than one by one. */
async function fill(
  directory: string,
  command: "mkdir" | "touch",
  count: number,
  name: string,
): Promise<void> {
  const { success } = await new Deno.Command("sh", {
    args: ["-c", `seq -f ${name} ${count} | xargs ${command} --`],
    cwd: directory,
  }).output();
  assert(success);
}

testSerially("Records are read in a bounded number", async () => {
  await using it = await rig();
  const { records, directory } = it;
  records.begin(record())[Symbol.dispose]();
  await fill(`${directory}/a/b`, "mkdir", 1024, "x.%016.0f");
  await assertRejects(() => records.list(), Error, "more than 1024");
});

testLarge("Records are not hidden behind other files", async () => {
  await using it = await rig();
  const { records, directory } = it;
  using _mark = records.begin(record());
  await records.write(record());
  await fill(`${directory}/a/b`, "touch", 2500, "-%.0f");
  await assertRejects(() => records.list(), Error, "or other files");
}, testSerially);

testLarge(
  "Records removes a bounded number of files with a record",
  async () => {
    await using it = await rig();
    const { records } = it;
    records.begin(record())[Symbol.dispose]();
    await fill(records.recordPath(record()), "touch", 2500, "-%.0f");
    await records.sweep();
    assertNotEquals(fileStatus(records.recordPath(record())), undefined);
    await assertRejects(() => records.remove(record()), Error, "ENOTEMPTY");
  },
  testSerially,
);

testAlone(
  import.meta,
  "Records.lock() waits a bounded time, and names the process that holds it",
  async () => {
    await using it = await rig();
    const { records } = it;
    using _held = await records.lock();
    await assertRejects(
      () => records.lock(200),
      Error,
      `process ${Deno.pid} (deno) keeps them locked`,
    );
    await Deno.remove(`${it.directory}/a/b/lock`);
    // A removed record does not block others.
    using _other = await records.lock(200);
    await Deno.remove(`${it.directory}/a/b/lock`);
    await new Deno.Command("mkfifo", { args: [`${it.directory}/a/b/lock`] })
      .output();
    await assertRejects(() => records.lock(200), Error, "not a regular file");
  },
);

Deno.test({
  name: "Records ignores files that another user has planted",
  ignore: lacksRoot("files of another user"),
  fn: async () => {
    await using it = await rig();
    const { records } = it;
    await records.lock().then((lock) => lock[Symbol.dispose]());
    using _mark = records.begin(record());
    await records.write(record());
    assertEquals((await records.list()).length, 1);
    await Deno.chown(records.recordPath(record()), 4711, 4711);
    assertEquals(await records.list(), []);
  },
});

Deno.test("CHIP_NAME takes only names that are good for a file", () => {
  assertEquals(CHIP_NAME.read("plc-0_a"), { value: "plc-0_a" });
  for (const bad of ["", "a/b", ".", "-a", "a.b", "x".repeat(33)]) {
    assertEquals("problem" in CHIP_NAME.read(bad), true, bad);
  }
});

testSerially({
  name: "a disk without room keeps no part of a record, and the last one whole",
  ignore: () => lacksMounts(),
  fn: async () => {
    await using disk = await FullDisk.mount();
    const records = new Records(`${disk.path}/kernel`);
    const mine = record();
    using _mark = records.begin(mine);
    await records.write(mine);
    const changed = { ...mine, path: "/dev/gpiochip9" };
    // Room for one file, or one directory, more.
    await disk.break("no files");
    disk.giveOneFile();
    assertThrows(
      () => records.begin(record({ id: "plc0.fedcba9876543210" })),
      OsError,
      "no space left",
    );
    assertEquals(listDirectory(`${disk.path}/kernel`), [mine.id]);
    await disk.repair();
    await disk.break("no bytes");
    await assertRejects(() => records.write(changed), OsError, "no space left");
    assertEquals(await records.list(), [{
      ...mine,
      state: deriveState(mine, true),
    }]);
    await disk.repair();
    await records.write(changed);
    assertEquals((await records.list())[0]?.path, "/dev/gpiochip9");
  },
});

Deno.test("a quota that is used up keeps the last record whole", async () => {
  await using it = await rig();
  const { records } = it;
  using _mark = records.begin(record());
  await records.write(record());
  const path = "/dev/gpiochip9";
  {
    using _quota = limitWrites(5);
    await assertRejects(
      () => records.write(record({ path })),
      OsError,
      QUOTA_REASON,
    );
  }
  assertEquals((await records.list()).map((one) => one.path), [undefined]);
  assertEquals(listDirectory(records.recordPath(record())).sort(), [
    "alive",
    "record.json",
  ]);
  await records.write(record({ path }));
  assertEquals((await records.list())[0]?.path, path);
});
