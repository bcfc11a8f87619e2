import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { RecordFile } from "./record_file.ts";

function rig() {
  const directory = Deno.makeTempDirSync({ prefix: "gpioagg-record-" });
  const path = `${directory}/edges.jsonl`;
  const encoder = new TextEncoder();
  return {
    path,
    text: (suffix = "") => Deno.readTextFileSync(path + suffix),
    bytes: (text: string) => encoder.encode(text),
    [Symbol.dispose]: () => Deno.removeSync(directory, { recursive: true }),
  };
}

Deno.test("RecordFile goes on behind what an earlier process wrote", async () => {
  using test = rig();
  const first = RecordFile.open(test.path);
  assertEquals(first.size, 0);
  await first.append(test.bytes('{"a":1}\n'));
  first.close();
  const second = RecordFile.open(test.path);
  assertEquals(second.size, 8);
  await second.append(test.bytes('{"b":2}\n'));
  second.close();
  assertEquals(test.text(), '{"a":1}\n{"b":2}\n');
  assertEquals(Deno.statSync(test.path).mode! & 0o777, 0o640);
});

Deno.test("RecordFile removes the rest of a line that a crash has left", async () => {
  using test = rig();
  Deno.writeTextFileSync(test.path, `${'{"a":1}\n'.repeat(20_000)}{"b":`);
  const file = RecordFile.open(test.path);
  assertEquals(file.size, 160_000);
  await file.append(test.bytes('{"c":3}\n'));
  file.close();
  assertEquals(test.text().slice(-16), '{"a":1}\n{"c":3}\n');
  Deno.writeTextFileSync(test.path, '{"b":');
  const other = RecordFile.open(test.path);
  other.close();
  assertEquals(test.text(), "");
});

Deno.test("RecordFile keeps one older file", async () => {
  using test = rig();
  const file = RecordFile.open(test.path);
  for (const text of ['{"a":1}\n', '{"b":2}\n', '{"c":3}\n']) {
    if (file.size > 0) await file.rotate();
    assertEquals(file.size, 0);
    await file.append(test.bytes(text));
  }
  assertEquals([test.text(".1"), test.text()], ['{"b":2}\n', '{"c":3}\n']);
  // Another process removed it.
  Deno.removeSync(test.path);
  await file.rotate();
  await file.append(test.bytes('{"d":4}\n'));
  file.close();
  assertEquals([test.text(".1"), test.text()], ['{"b":2}\n', '{"d":4}\n']);
});

Deno.test("RecordFile touches no file of something else", () => {
  using test = rig();
  for (const text of ["root:x:0:0\n", "{}\nabc", "x", `{${"x".repeat(1e5)}`]) {
    Deno.writeTextFileSync(test.path, text);
    assertThrows(
      () => RecordFile.open(test.path),
      Error,
      `Cannot write the record of edges to ${test.path}: it exists, and is ` +
        "not a file of edges",
    );
    assertEquals(test.text(), text);
  }
  Deno.removeSync(test.path);
  Deno.mkdirSync(test.path);
  assertThrows(() => RecordFile.open(test.path), Error, "EISDIR");
});

Deno.test("RecordFile notices that another process took the file away", async () => {
  using test = rig();
  const { path } = test;
  const file = RecordFile.open(path);
  const read = async (older: boolean) => {
    const reader = await file.openReader(older);
    reader?.close();
    return reader !== undefined;
  };
  const ways: [() => void, () => Promise<unknown>][] = [
    [
      () => Deno.removeSync(path),
      async () => assertEquals(await read(false), false),
    ],
    [
      () => Deno.renameSync(path, `${path}.1`),
      async () => assertEquals(await read(false), false),
    ],
    [
      () => Deno.truncateSync(path),
      () => assertRejects(() => read(false), Error, "has truncated it"),
    ],
    [
      () => {
        Deno.removeSync(path);
        Deno.writeTextFileSync(path, '{"other":1}\n');
      },
      () => assertRejects(() => read(false), Error, "has replaced it"),
    ],
  ];
  for (const [takeAway, isRefused] of ways) {
    await file.append(test.bytes('{"a":1}\n'));
    assert(await file.isWhole() && await read(false));
    takeAway();
    assertEquals(await file.isWhole(), false);
    await isRefused();
    file.restart();
    assert(await file.isWhole() && await read(false));
    await file.append(test.bytes('{"b":2}\n'));
    assertEquals(test.text().slice(-8), '{"b":2}\n');
    assertEquals(file.size, test.text().length);
  }
  // The older file is not the one that was written before.
  await assertRejects(() => read(true), Error, "has replaced it");
  await file.rotate();
  assert(await read(true));
  // What is not a file of edges is not written to, and waited for.
  Deno.removeSync(path);
  Deno.writeTextFileSync(path, "root:x:0:0\n");
  assertThrows(() => file.restart(), Error, "is not a file of edges");
  assertEquals(await file.isWhole(), false);
  Deno.removeSync(path);
  file.restart();
  assert(await file.isWhole());
  file.close();
});

Deno.test("RecordFile that cannot become the older one stays as it is", async () => {
  using test = rig();
  const file = RecordFile.open(test.path);
  await file.append(test.bytes('{"a":1}\n'));
  Deno.mkdirSync(`${test.path}.1`);
  await assertRejects(() => file.rotate(), Error, "directory");
  assert(await file.isWhole());
  assertEquals(test.text(), '{"a":1}\n');
  Deno.removeSync(`${test.path}.1`);
  await file.rotate();
  await file.append(test.bytes('{"b":2}\n'));
  file.close();
  assertEquals([test.text(".1"), test.text()], ['{"a":1}\n', '{"b":2}\n']);
});
