import { assertEquals } from "@std/assert";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import { limitWrites } from "../../tests/doubles/disk_quota.ts";
import { FullDisk, lacksMounts } from "../../tests/doubles/full_disk.ts";
import { until } from "../../tests/environment/wait.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { ServiceWords } from "./service_words.ts";

/** The directory of a service, and the names that it has. */
function rig(top = Deno.makeTempDirSync()) {
  const directory = `${top}/gpioagg-test`;
  Deno.mkdirSync(directory, { recursive: true });
  const names = ["press"];
  const file = `${directory}/words`;
  return {
    names,
    directory,
    file,
    describe: () => Promise.resolve(names.map((name) => ({ name, lines: [] }))),
    says: (text: string) =>
      until(
        `the words "${text}"`,
        () =>
          fileStatus(file) !== undefined &&
          Deno.readTextFileSync(file).includes(text),
      ),
    [Symbol.dispose]: () => Deno.removeSync(top, { recursive: true }),
  };
}

Deno.test("a service's words are written, again after a change, and go with it", async () => {
  using service = rig();
  const { directory, describe, names, file } = service;
  {
    using words = ServiceWords.begin({ directory, look: undefined, describe })!;
    await service.says("aggregator\tpress\n");
    names.push("crane");
    words.changed();
    words.changed();
    await service.says("aggregator\tcrane\n");
  }
  assertEquals(fileStatus(file), undefined);
});

Deno.test("words may be read by those who may look", async () => {
  for (
    const [look, mode] of [
      [undefined, 0o600],
      [{}, 0o640],
      [{ mode: 0o666 }, 0o644],
      [{ mode: 0o600 }, 0o600],
      // Another group than that of the file.
      [{ mode: 0o660, group: "vmm" }, 0o600],
    ] as const
  ) {
    using service = rig();
    const { directory, describe, file } = service;
    using _words = ServiceWords.begin({ directory, look, describe });
    await service.says("press");
    assertEquals(Deno.statSync(file).mode! & 0o777, mode);
  }
});

Deno.test("what cannot be written, or would not be found, is no fault", async () => {
  using service = rig();
  const { describe, directory } = service;
  assertEquals(
    ServiceWords.begin({ directory: "/tmp/x", look: undefined, describe }),
    undefined,
  );
  const described = Promise.withResolvers<void>();
  using _words = ServiceWords.begin({
    directory: "/no/such/gpioagg",
    look: undefined,
    describe: () => {
      described.resolve();
      return Promise.reject(new Error("the reactor has ended"));
    },
  });
  await described.promise;
  // A later service of the same place keeps its file.
  Deno.writeTextFileSync(`${directory}/words`, "another's");
  ServiceWords.begin({ directory, look: undefined, describe })![
    Symbol.dispose
  ]();
  assertEquals(Deno.readTextFileSync(`${directory}/words`), "another's");
});

Deno.test("a service with more names than a shell should read has no file", async () => {
  using service = rig();
  const { directory, names, file } = service;
  let lines: { name: string; lineNumber: number }[] = [];
  using words = ServiceWords.begin({
    directory,
    look: undefined,
    describe: () => Promise.resolve(names.map((name) => ({ name, lines }))),
  })!;
  await service.says("press");
  lines = Array.from(
    { length: 100_000 },
    (_, lineNumber) => ({ name: "A-LONG-NAME", lineNumber }),
  );
  words.changed();
  await until("no file", () => fileStatus(file) === undefined);
});

testSerially({
  name: "words that a full disk did not take are written once it has room",
  ignore: () => lacksMounts(),
  fn: async () => {
    await using disk = await FullDisk.mount();
    using service = rig(`${disk.path}/top`);
    const { directory, file } = service;
    await disk.break("no bytes");
    let asked = 0;
    using _words = ServiceWords.begin({
      directory,
      look: undefined,
      describe: () => {
        asked++;
        return service.describe();
      },
    })!;
    await until("it is tried again", () => asked > 1);
    assertEquals([...Deno.readDirSync(directory)], []);
    await disk.repair();
    await service.says("aggregator\tpress\n");
    assertEquals(fileStatus(file)?.kind, "regular file");
  },
});

Deno.test("words that a quota did not allow are written once it does", async () => {
  using service = rig();
  const { directory, file } = service;
  let asked = 0;
  const quota = limitWrites(5);
  using _words = ServiceWords.begin({
    directory,
    look: undefined,
    describe: () => {
      asked++;
      return service.describe();
    },
  })!;
  try {
    await until("it is tried again", () => asked > 1);
    assertEquals([...Deno.readDirSync(directory)], []);
  } finally {
    quota[Symbol.dispose]();
  }
  await service.says("aggregator\tpress\n");
  assertEquals(fileStatus(file)?.kind, "regular file");
});
