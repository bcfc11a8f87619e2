/** Configuration files that must not end, nor hang, a service that runs. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { ServiceClient, ServiceError } from "../../src/client/client.ts";
import type { ConfigProblem } from "../../src/client/protocol.ts";
import { ConfigService } from "../environment/config_service.ts";

const good = (directory: string) =>
  `aggregators:\n  p:\n    vhost-user: ${directory}/p.sock\n    lines: [sim/4]\n`;

const merging = (directory: string) =>
  `aggregators:\n  p: &p\n    <<: *p\n    vhost-user: ${directory}/p.sock\n` +
  "    lines: [sim/4]\n";

function bomb(): string {
  let text = "m0: &m0 {sim: 1, as: A}\n";
  for (let i = 1; i < 40; i++) {
    text += `m${i}: &m${i} {<<: [*m${i - 1}, *m${i - 1}]}\n`;
  }
  return text + "aggregators: {p: {vhost-user: /x, lines: [*m39]}}\n";
}

Deno.test("a reload of a hostile file is refused, and the guest is served on", async () => {
  await using service = await ConfigService.start(good);
  using guest = service.guest("p");
  for (
    const [text, problem] of [
      [merging, "merges itself"],
      [bomb, "aliases stand for more"],
      [() => `aggregators: ${"[".repeat(100_000)}`, "deeper than"],
      [() => "aggregators: &a [*a]", "a list"],
    ] as const
  ) {
    const { errors } = await service.hangUp(text) as unknown as {
      errors: { problem: string }[];
    };
    const problems = errors.map(({ problem }) => problem).join("\n");
    assertStringIncludes(problems, problem);
    assertEquals(guest.driver.getValue(0), 0);
  }
  const { added, changed, refused } = await service.hangUp(good);
  assertEquals([added, changed, refused], [[], [], []]);
});

Deno.test("gpioagg reload shows each error of a file with its hint, also as JSON", async () => {
  await using service = await ConfigService.start(good);
  const bad = (directory: string) =>
    good(directory).replace("[sim/4]", "[sim/0, { sim: 1, sefe: 1 }]");
  const text = await service.reload(bad);
  assertEquals([text.code, text.stdout], [2, ""]);
  const lines = text.stderr.trimEnd().split("\n");
  assertEquals(lines.length, 5, text.stderr);
  assertStringIncludes(lines[0]!, `${service.file}:4:13: aggregators.p.lines`);
  assertStringIncludes(lines[2]!, 'unknown key "sefe"');
  assertStringIncludes(lines[3]!, "Did you mean safe?");
  assertStringIncludes(lines[4]!, "nothing was changed");
  const check = await service.run("check", "--json", service.file);
  const json = await service.run("reload", "--json", "--api", service.api);
  assertEquals([json.code, json.stderr], [2, ""]);
  assertEquals(JSON.parse(json.stdout), {
    errors: JSON.parse(check.stdout).errors,
  });
  const error = await assertRejects(
    () => new ServiceClient(service.api).reload(),
    ServiceError,
    "; and 1 more error",
  );
  assertEquals(error.errors.map(({ line }: ConfigProblem) => line), [4, 4]);
});

Deno.test("a reload waits for no FIFO and reads no device", async () => {
  await using service = await ConfigService.start(good);
  using guest = service.guest("p");
  let count = 0;
  const replaced = async (replace: (file: string) => Promise<unknown>) => {
    await Deno.remove(service.file);
    await replace(service.file);
    service.process.kill("SIGHUP");
    return (await service.heard("reloaded", ++count)).at(-1)!;
  };
  for (
    const [kind, replace] of [
      [
        "fifo",
        (file: string) => new Deno.Command("mkfifo", { args: [file] }).output(),
      ],
      ["character device", (file: string) => Deno.symlink("/dev/zero", file)],
      ["directory (EISDIR)", (file: string) => Deno.mkdir(file)],
      // A regular file whose read waits; the first reload may find kernel
      // messages there, which are no configuration, and others may not open it.
      ["", (file: string) => Deno.symlink("/proc/kmsg", file)],
      ["", (file: string) => Deno.symlink("/proc/kmsg", file)],
    ] as const
  ) {
    const { errors } = await replaced(replace) as unknown as {
      errors: { problem: string }[];
    };
    assertStringIncludes(errors[0]!.problem, kind);
    assertEquals(guest.driver.getValue(0), 0);
  }
});

Deno.test("check reads a pipe, and says so when nothing comes", async () => {
  await using service = await ConfigService.start(good);
  const fifo = `${service.file}.fifo`;
  await new Deno.Command("mkfifo", { args: [fifo] }).output();
  const writer = new Deno.Command("sh", {
    args: ["-c", 'cat "$1" >"$2"', "sh", service.file, fifo],
  }).spawn();
  const { code, stdout } = await service.run("check", fifo);
  await writer.status;
  assertEquals([code, stdout.includes("1 aggregator, 4 lines: valid")], [
    0,
    true,
  ]);
  // Held open by a process that never writes.
  using _silent = await Deno.open(fifo, { read: true, write: true });
  const silent = await service.run("check", fifo);
  assertEquals(silent.code, 2);
  assert(silent.stderr.includes("had no data within 5 s"), silent.stderr);
});
