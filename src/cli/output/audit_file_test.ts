import { assert, assertEquals, assertThrows } from "@std/assert";
import { fileStatus } from "../../../ffi/file_status.ts";
import { AuditFile } from "./audit_file.ts";

/** A file whose writes end when the test wants it. */
function rig(options: { maxBytes?: number } = {}) {
  const written: string[] = [];
  const told: string[] = [];
  const pending: (() => void)[] = [];
  const disk = { hangs: false, error: undefined as Error | undefined };
  const log = new AuditFile("audit.log", {
    async write(bytes) {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (disk.hangs) pending.push(resolve);
      else resolve();
      await promise;
      if (disk.error !== undefined) throw disk.error;
      written.push(...new TextDecoder().decode(bytes).trim().split("\n"));
      return bytes.length;
    },
  }, { tell: (text) => told.push(text), waitMs: 20, ...options });
  const goOn = () => {
    disk.hangs = false;
    for (const resolve of pending.splice(0)) resolve();
  };
  return { log, written, told, disk, goOn };
}

Deno.test("AuditFile: an entry is written when its write resolves", async () => {
  const { log, written, told } = rig();
  await log.write("a");
  assertEquals(written, ["a"]);
  await Promise.all([log.write("b"), log.write("c")]);
  assertEquals(written, ["a", "b", "c"]);
  assertEquals(told, []);
});

Deno.test("AuditFile: a file that hangs delays one entry, loses none and keeps their order", async () => {
  const { log, written, told, disk, goOn } = rig({ maxBytes: 20 });
  disk.hangs = true;
  await log.write("first");
  assertEquals(told.length, 1);
  assert(told[0]!.includes("cannot be written"), told[0]);
  // From now on nothing waits, and what does not fit is told.
  let done = 0;
  for (let i = 0; i < 100; i++) log.write(`entry ${i}`).then(() => done++);
  // No timer has its turn in between.
  for (let i = 0; i < 1000; i++) await Promise.resolve();
  assertEquals(done, 100, "entries wait for a file that hangs");
  assertEquals(told.length, 1 + 100 - 1);
  assertEquals(told.slice(1, 3), ["audit: entry 1", "audit: entry 2"]);
  assertEquals(await log.flush(10), false);
  goOn();
  assertEquals(await log.flush(1000), true);
  await log.write("last");
  assertEquals(written.slice(0, 2), ["first", "entry 0"]);
  const lost = JSON.parse(written[2]!);
  assertEquals(lost.action, "lost");
  assert(lost.reason.startsWith("99 entries"), lost.reason);
  assertEquals(written.slice(3), ["last"]);
  assert(told.at(-1)!.includes("written again"), told.at(-1));
});

Deno.test("AuditFile tells what a full disk does not take", async () => {
  const { log, written, told, disk } = rig();
  disk.error = new Error("No space left");
  await log.write("a");
  assertEquals(told, [
    "Cannot write to the audit log audit.log: No space left",
    "audit: a",
  ]);
  disk.error = undefined;
  await log.write("b");
  assertEquals(written, ["b"]);
});

Deno.test("an entry of which a full disk takes a part is told whole, and spoils no other", async () => {
  let text = "";
  let room = Infinity;
  const told: string[] = [];
  const log = new AuditFile("audit.log", {
    write(bytes) {
      const count = Math.min(room, bytes.length);
      if (count === 0) return Promise.reject(new Error("No space left"));
      text += new TextDecoder().decode(bytes.subarray(0, count));
      room -= count;
      return Promise.resolve(count);
    },
  }, { tell: (line) => told.push(line) });
  await log.write("first");
  room = 3;
  await log.write("second");
  await log.write("third");
  assertEquals(text, "first\nsec");
  assertEquals(
    told.filter((line) => line.startsWith("audit: ")),
    ["audit: second", "audit: third"],
  );
  // Room for the line feed only, then for a part that is written in two pieces.
  room = 1;
  await log.write("fourth");
  room = 4;
  const fifth = log.write("fifth");
  while (room > 0) await Promise.resolve();
  room = Infinity;
  await fifth;
  await log.write("last");
  assertEquals(text, "first\nsec\nfifth\nlast\n");
  assertEquals(told.filter((line) => line.startsWith("audit: ")), [
    "audit: second",
    "audit: third",
    "audit: fourth",
  ]);
});

Deno.test("an entry is whole though its file is moved away in the midst of it", async () => {
  const files = [""];
  let room = Infinity;
  let isMoved = false;
  const told: string[] = [];
  const log = new AuditFile("audit.log", {
    findFile() {
      const isOther = isMoved;
      if (isOther) files.push("");
      isMoved = false;
      return Promise.resolve(isOther);
    },
    write(bytes) {
      const count = Math.min(room, bytes.length);
      if (count === 0) return Promise.reject(new Error("No space left"));
      files.push(
        files.pop()! + new TextDecoder().decode(bytes.slice(0, count)),
      );
      room -= count;
      return Promise.resolve(count);
    },
  }, { tell: (line) => told.push(line) });
  /** Writes an entry into files of which the first has room for a part. */
  const write = async (entry: string, first: number, second: number) => {
    room = first;
    const written = log.write(entry);
    while (room > 0) await Promise.resolve();
    isMoved = true;
    room = second;
    await written;
  };
  await write("first", 3, Infinity);
  await log.write("second");
  assertEquals(files, ["fir", "first\nsecond\n"]);
  // The next one has not even room for that part, or for that part alone.
  await write("third", 4, 2);
  assertEquals(files.slice(2), ["th"]);
  room = Infinity;
  await log.write("fourth");
  await write("fifth", 2, 2);
  assertEquals(files.slice(2), ["th\nfourth\nfi", "fi"]);
  const entries = () => told.filter((line) => line.startsWith("audit: "));
  assertEquals(entries(), ["audit: third", "audit: fifth"]);
  // Torn as the last one is, that is nothing to a file that follows it.
  isMoved = true;
  room = Infinity;
  await log.write("last");
  assertEquals(files.at(-1), "last\n");
  assertEquals(entries().length, 2);
});

Deno.test("AuditFile.open() begins a new line after a part of an entry", async () => {
  const directory = Deno.makeTempDirSync();
  try {
    const path = `${directory}/log`;
    for (const [left, expected] of [["", "a\n"], ["x\n{", "x\n{\na\n"]]) {
      Deno.writeTextFileSync(path, left!, { mode: 0o600 });
      const log = AuditFile.open(path, { tell: () => {} });
      await log.write("a");
      assertEquals(Deno.readTextFileSync(path), expected);
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("AuditFile.open() appends for this user alone, and follows a rotation", async () => {
  const directory = Deno.makeTempDirSync();
  try {
    const path = `${directory}/log`;
    Deno.writeTextFileSync(path, "old\n", { mode: 0o600 });
    const told: string[] = [];
    const log = AuditFile.open(path, { tell: (text) => told.push(text) });
    await log.write("a");
    assertEquals(Deno.readTextFileSync(path), "old\na\n");
    Deno.renameSync(path, `${path}.1`);
    await log.write("b");
    await log.write("c");
    assertEquals(Deno.readTextFileSync(path), "b\nc\n");
    assertEquals(Deno.readTextFileSync(`${path}.1`), "old\na\n");
    assertEquals(fileStatus(path)!.mode & 0o777, 0o600);
    assertEquals(told, []);
    assertThrows(
      () => AuditFile.open(`${directory}/absent/log`, { tell: () => {} }),
      Error,
      "Cannot write to the audit log",
    );
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("AuditFile.open() reports what it wrote to a file that was removed meanwhile", async () => {
  const directory = Deno.makeTempDirSync();
  const { stat } = Deno;
  try {
    const path = `${directory}/log`;
    const told: string[] = [];
    const log = AuditFile.open(path, { tell: (text) => told.push(text) });
    Deno.stat = async (asked) => {
      const status = await stat(asked);
      Deno.removeSync(path);
      return status;
    };
    await log.write("a");
    Deno.stat = stat;
    assertEquals(told, [
      `Cannot write to the audit log ${path}: it was removed while it was written`,
      "audit: a",
    ]);
    await log.write("b");
    assertEquals(Deno.readTextFileSync(path), "b\n");
    assertEquals(told.length, 2);
  } finally {
    Deno.stat = stat;
    Deno.removeSync(directory, { recursive: true });
  }
});
