/** Disks without room, under a running service and under commands. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { FAULT_REASONS, FullDisk, lacksMounts } from "../doubles/full_disk.ts";
import { ChildProcess } from "../environment/process.ts";
import { lacksApi, PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { until } from "../environment/wait.ts";

const cannotRun = lacksMounts() || lacksApi();
const LIMIT = { timeoutMs: 120_000 };

function start(args: readonly string[]): ChildProcess {
  return new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, ...args],
    // Where the disk has no room, there is no other place.
    env: { XDG_RUNTIME_DIR: "/dev/null/none" },
  });
}

/** A service whose files are all on the disk. */
async function serve(disk: FullDisk): Promise<ChildProcess> {
  const directory = `${disk.path}/gpioagg-full`;
  await Deno.mkdir(directory);
  const file = `${disk.path}/gpioagg.yaml`;
  await Deno.writeTextFile(
    file,
    `aggregators:
  own: { vhost-user: ${directory}/own.sock, lines: [ "sim/1,as=IN" ] }
api:
  socket: ${directory}/api.sock
  look: ${directory}/look.sock
  sockets: ${directory}
  audit-log: ${directory}/audit.log
record: { file: ${directory}/edges.jsonl }
`,
  );
  const service = start(["serve", "--config", file]);
  await service.waitFor("control API at", { ...LIMIT, stream: "stderr" });
  return service;
}

Deno.test({
  name: "a service whose disk has no room serves on, and writes later",
  ignore: cannotRun,
  fn: async () => {
    await using disk = await FullDisk.mount();
    await using service = await serve(disk);
    const directory = `${disk.path}/gpioagg-full`;
    const text = (name: string) =>
      Deno.readTextFileSync(`${directory}/${name}`);
    const client = new ServiceClient(`${directory}/api.sock`);
    using frontend = Frontend.open(`${directory}/own.sock`, LIMIT);
    const driver = GpioDriver.attach(frontend);
    let level: 0 | 1 = 0;
    /** Makes an edge and an entry of the audit log. */
    const pull = async () => {
      level = level === 0 ? 1 : 0;
      await client.pull("own", { IN: level });
      assertEquals(driver.getValue(0), level);
    };
    await until("the words", () => disk.has("gpioagg-full/words"));
    const files = () =>
      [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
    const before = files();
    // Files that are open for writing keep it from being made read-only.
    for (const fault of ["no bytes", "no files"] as const) {
      await disk.break(fault);
      const from = service.stderr.length;
      await pull();
      if (fault !== "no files") {
        // What is open already needs no other file.
        await service.waitFor(
          new RegExp(
            `audit log ${directory}/audit.log: ${FAULT_REASONS[fault]}`,
          ),
          { ...LIMIT, stream: "stderr", from },
        );
      }
      if (fault !== "no bytes") {
        await assertRejects(
          () => client.createLasting({ name: "more", lines: ["sim/1"] }),
          Error,
          `${directory}/more.sock: `,
        );
      }
      assertEquals((await client.list()).map(({ name }) => name), ["own"]);
      assertEquals(files(), before, fault);
      await disk.repair();
      const [entries, edges] = [text("audit.log"), text("edges.jsonl")];
      await pull();
      await until(
        `the audit log after ${fault}`,
        () => text("audit.log").length > entries.length,
      );
      await until(
        `the edges after ${fault}`,
        () => text("edges.jsonl").length > edges.length,
      );
      await client.createLasting({ name: "more", lines: ["sim/1"] });
      await until("the words", () => text("words").includes("more"));
      await client.remove("more");
      await until("the words", () => !text("words").includes("more"));
    }
    // Whole lines only, whatever there was no room for.
    for (const name of ["audit.log", "edges.jsonl"]) {
      for (const line of text(name).trim().split("\n")) JSON.parse(line);
    }
    service.kill("SIGTERM");
    assertEquals((await service.waitForExit(LIMIT)).code, 0, service.stderr);
  },
});

Deno.test({
  name: "a command whose disk has no room names the file, and leaves nothing",
  ignore: cannotRun,
  fn: async () => {
    await using disk = await FullDisk.mount();
    const path = (name: string) => `${disk.path}/${name}`;
    for (const fault of ["no files", "read-only"] as const) {
      await disk.break(fault);
      for (
        const [name, ...args] of [
          ["a.sock", "serve", "--socket-path", path("a.sock"), "--line=sim/1"],
          ["api.sock", "serve", "--api", path("api.sock")],
          [
            "audit.log",
            ...["serve", "--api", `${disk.path}.sock`],
            ...["--audit-log", path("audit.log")],
          ],
          [
            "token",
            ...["ui", "--port=0", "--api", `${disk.path}.sock`],
            ...["--token-file", path("token")],
          ],
        ] as const
      ) {
        await using process = start(args);
        const { code } = await process.waitForExit(LIMIT);
        assertEquals(code, 1, process.stderr);
        assert(process.stderr.includes(path(name)), process.stderr);
        assert(
          /no space left|read-only file system/.test(process.stderr),
          process.stderr,
        );
        assert(!process.stderr.includes("    at "), process.stderr);
        assertEquals(disk.files(), [], `${fault}: ${args.join(" ")}`);
      }
      await disk.repair();
    }
  },
});

Deno.test({
  name: "a kernel chip for which the disk has no room is not begun",
  ignore: cannotRun,
  fn: async () => {
    await using disk = await FullDisk.mount();
    for (const fault of ["no files", "read-only"] as const) {
      await disk.break(fault);
      await using process = new ChildProcess({
        command: "unshare",
        args: [
          ...["--mount", "sh", "-c"],
          'mount --bind "$1" /run && shift && exec "$@"',
          ...["sh", disk.path, PROGRAM_FILE, ...PROGRAM],
          ...["kernel", "create", "--interface=usb", "--line=sim/1"],
        ],
      });
      const { code } = await process.waitForExit(LIMIT);
      assertEquals(code, 1, process.stderr);
      assert(
        process.stderr.includes(`/run/gpioagg: ${FAULT_REASONS[fault]}`),
        process.stderr,
      );
      assert(!process.stderr.includes("    at "), process.stderr);
      assertEquals(disk.files(), []);
      await disk.repair();
    }
  },
});
