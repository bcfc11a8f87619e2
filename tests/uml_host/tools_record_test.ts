/**
 * Records of `gpiomon`: dumps that sigrok reads, tables, and what it does when
 * edges come faster than they can be read.
 */
import { assert, assertEquals } from "@std/assert";
import { O_WRONLY, openFile, readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { check, libc } from "../../ffi/libc.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { SimChip } from "../environment/gpio_sim.ts";
import { ChildProcess } from "../environment/process.ts";
import { settle, simChip, until } from "./gpio_sim.ts";
import { ended, pulls, ready, Tools, twoChips } from "./tools_rig.ts";
import { mustIgnore } from "../doubles/skipped.ts";

const tools = await Tools.find();

const noSigrok = mustIgnore(await withoutSigrok());

async function withoutSigrok(): Promise<string | undefined> {
  try {
    const { code } = await new Deno.Command("sigrok-cli", {
      args: ["--version"],
    }).output();
    return code === 0 ? undefined : "sigrok-cli does not run on this machine";
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return "sigrok-cli is not on this machine: apt-get install sigrok-cli";
  }
}

/** Records some edges of three lines, and says which they were. */
async function record(path: string, ...more: string[]): Promise<ChildProcess> {
  await using chips = await twoChips();
  const { a, b } = chips;
  await a.pull(2, "up");
  const process = tools.start("ours", "gpiomon", [
    "--banner",
    `--vcd=${path}`,
    "--num-events=7",
    ...more,
    "foo",
    "bar",
    "label-of-b/2",
  ]);
  if (path === "-") await process.waitFor("$dumpvars", { timeoutMs: 120_000 });
  else await ready(process);
  await pulls(
    a,
    [1, "up"],
    [2, "down"],
    [1, "down"],
    [1, "up"],
  );
  await pulls(b, [2, "up"]);
  await pulls(a, [2, "up"]);
  await pulls(b, [2, "down"]);
  await process.waitForExit();
  return process;
}

/** The states that {@linkcode record} makes, of foo, bar and label-of-b/2. */
const STATES = [
  "0,1,0",
  "1,1,0",
  "1,0,0",
  "0,0,0",
  "1,0,0",
  "1,0,1",
  "1,1,1",
  "1,1,0",
];

/** The rows of sigrok's table, each state once. */
function listStates(csv: string): string[] {
  const rows = csv.split("\n").filter((line) => /^[01](,[01])*$/.test(line));
  return rows.filter((row, i) => row !== rows[i - 1]);
}

Deno.test({
  name: "sigrok reads the edges that gpiomon --vcd has recorded",
  ignore: noSigrok,
  fn: async () => {
    for (const timescale of ["1us", "10us", "1ms"]) {
      const path = `${await Deno.makeTempDir()}/record.vcd`;
      const { stdout } = await record(path, `--vcd-timescale=${timescale}`);
      assertEquals(stdout.trim().split("\n").length, 1 + 7);
      const { code, stdout: csv, stderr } = await new Deno.Command(
        "sigrok-cli",
        { args: ["-I", "vcd", "-i", path, "-O", "csv"] },
      ).output();
      const text = new TextDecoder().decode(csv);
      assertEquals(code, 0, new TextDecoder().decode(stderr));
      assert(/Channels \(3\/3\): foo, bar, label-of-b\/2/.test(text), text);
      assertEquals(listStates(text), STATES, timescale);
    }
  },
});

Deno.test("gpiomon --vcd dates every edge as it prints it", async () => {
  const path = `${await Deno.makeTempDir()}/record.vcd`;
  const { stdout } = await record(path, "--vcd-timescale=1ns", "-F%S %E %l");
  const dump = await Deno.readTextFile(path);
  assert(dump.includes("$timescale 1 ns $end"), dump);
  const printed = stdout.trim().split("\n").slice(1).map((line) => {
    const [seconds = "", kind, name] = line.split(" ");
    const ns = BigInt(seconds.replace(".", ""));
    return { ns, value: kind === "rising" ? "1" : "0", name };
  });
  const names = new Map(
    [...dump.matchAll(/\$var wire 1 (\S+) (\S+) \$end/g)].map((match) => [
      match[1]!,
      match[2] === "label-of-b/2" ? "unnamed" : match[2],
    ]),
  );
  let now = 0n;
  const dumped = [];
  for (const line of dump.slice(dump.indexOf("$dumpvars")).split("\n")) {
    if (line.startsWith("#")) now = BigInt(line.slice(1));
    else if (/^[01]\S$/.test(line) && now > 0n) {
      dumped.push({ ns: now, value: line[0], name: names.get(line.slice(1)) });
    }
  }
  // The dump counts from its beginning, the other clock from the boot.
  const start = printed[0]!.ns - dumped[0]!.ns;
  assertEquals(
    dumped.map((edge) => ({ ...edge, ns: edge.ns + start })),
    printed,
  );
});

Deno.test("gpiomon --vcd - writes the dump and nothing else", async () => {
  const { stdout, stderr } = await record("-", "-I");
  assertEquals(stderr, "");
  assert(stdout.startsWith("$date "), stdout);
  const after = stdout.slice(stdout.indexOf("$enddefinitions $end\n") + 21);
  for (const line of after.trim().split("\n")) {
    assert(/^(#\d+|[01]\S|\$dumpvars|\$end)$/.test(line), line);
  }
});

Deno.test("gpiomon --vcd says what it cannot do", async () => {
  await using _chips = await twoChips();
  const refusal = async (...args: string[]) => {
    const { code, stderr } = await tools.run("ours", "gpiomon", args);
    assertEquals(code, 1);
    return stderr;
  };
  assertEquals(
    await refusal("--vcd=/nonexistent/file", "foo"),
    "gpiomon: unable to open '/nonexistent/file': No such file or directory\n",
  );
  assertEquals(
    await refusal("--vcd=x", "-e", "rising", "foo"),
    "gpiomon: can't combine vcd with edges=rising\n",
  );
  assertEquals(
    await refusal("--vcd-timescale=1h", "foo"),
    "gpiomon: invalid timescale: 1h\n",
  );
});

Deno.test("gpiomon --csv prints a table", async () => {
  await using chips = await twoChips();
  const { a } = chips;
  await using process = tools.start("ours", "gpiomon", [
    "--csv",
    "--banner",
    "-n2",
    "-c",
    a.name,
    "foo",
    "0",
  ]);
  await process.waitFor("\n", { timeoutMs: 120_000 });
  await pulls(a, [1, "up"], [0, "up"]);
  const { stdout } = await ended(process);
  const [head, ...rows] = stdout.trim().split("\n");
  assertEquals(head, "timestamp,event,value,chip,offset,name,line_seqno");
  assertEquals(rows.map((row) => row.replace(/^\d+\.\d{9},/, "T,")), [
    `T,rising,1,${a.name},1,foo,1`,
    `T,rising,1,${a.name},0,,1`,
  ]);
});

Deno.test("gpiomon writes each event at once, also into a pipe", async () => {
  await using chips = await twoChips();
  await using process = tools.start("ours", "gpiomon", ["--banner", "foo"]);
  await ready(process);
  for (const [i, direction] of (["up", "down", "up"] as const).entries()) {
    await chips.a.pull(1, direction);
    await until(
      "the event is printed",
      () => process.stdout.trim().split("\n").length === i + 2,
    );
  }
});

Deno.test("gpiomon ends quietly when its output has no reader any more", async () => {
  await using chips = await twoChips();
  const command = `{ ${
    tools.path("ours", "gpiomon")
  } --banner foo; echo status $? >&2; } |
    for i in 1 2; do IFS= read -r line; echo "$line"; done`;
  await using process = new ChildProcess({
    command: "bash",
    args: ["-c", command],
  });
  await ready(process);
  await pulls(chips.a, [1, "up"], [1, "down"], [1, "up"], [1, "down"]);
  await process.waitForExit();
  assertEquals(process.stderr, "status 141\n");
});

Deno.test("gpiomon says when its chip is gone", async () => {
  await using chip = await simChip({ lines: 1 });
  await using process = tools.start("ours", "gpiomon", [
    "--banner",
    `${chip.name}/0`,
  ]);
  await ready(process);
  await chip.unplug();
  const { code, stderr } = await ended(process);
  assertEquals(code, 1);
  assertEquals(
    stderr,
    `gpiomon: error reading line events on chip '${chip.path}': No such device\n`,
  );
});

/** Writes to the pulls of many lines, whose files stay open. */
class Puller implements Disposable {
  readonly #files: readonly OwnedFd[];

  constructor(chip: SimChip, lines: number) {
    const platform = "/sys/devices/platform";
    const device = listDirectory(platform).find((name) =>
      fileStatus(`${platform}/${name}/${chip.name}`) !== undefined
    );
    this.#files = Array.from(
      { length: lines },
      (_, offset) =>
        openFile(
          `${platform}/${device}/${chip.name}/sim_gpio${offset}/pull`,
          O_WRONLY,
        ),
    );
  }

  /** Pulls all lines, and waits until the simulator has made edges of it. */
  async pull(direction: "up" | "down"): Promise<void> {
    const text = new TextEncoder().encode(`pull-${direction}`);
    for (const { fd } of this.#files) {
      check(libc().write(fd, text, text.length), "write", "a pull");
    }
    // It makes them on the next tick of its 100 Hz.
    await new Promise((resolve) => setTimeout(resolve, 12));
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) file.close();
  }
}

/** The memory of a process in KiB that is its own. */
function memoryKiB(pid: number): number {
  const status = readSmallFile(`/proc/${pid}/status`) ?? "";
  return Number(/^RssAnon:\s*(\d+)/m.exec(status)?.[1]);
}

/** JSON of one line. */
interface Told {
  readonly event: string;
  readonly line: string;
  readonly lineSeqno: number;
  readonly count: number;
}

/**
 * Checks that the numbers of every line's events go up without gaps other than
 * those that are told of.
 *
 * @returns How many events were printed, and how many were lost.
 */
function accountFor(told: readonly Told[]): { printed: number; lost: number } {
  const last = new Map<string, number>();
  let lost = 0;
  let printed = 0;
  for (const { event, line, lineSeqno, count } of told) {
    const before = last.get(line) ?? 0;
    if (event === "lost") {
      lost += count;
      last.set(line, before + count);
    } else {
      assertEquals(lineSeqno, before + 1, line);
      printed++;
      last.set(line, lineSeqno);
    }
  }
  return { printed, lost };
}

Deno.test("gpiomon keeps its place and its size in a flood of edges", async () => {
  const width = 256;
  await using chip = await simChip({ lines: width });
  const file = `${await Deno.makeTempDir()}/events`;
  // What is printed goes to a file: this test must not be the slow reader.
  const command = `exec ${
    tools.path("ours", "gpiomon")
  } --json ${chip.name}/0-${width - 1} > ${file}`;
  await using process = new ChildProcess({
    command: "bash",
    args: ["-c", command],
  });
  using puller = new Puller(chip, width);
  await until("it watches", async () => {
    await puller.pull("up");
    await puller.pull("down");
    // The shell has not made it yet, at first.
    return (fileStatus(file)?.size ?? 0) > 0;
  });
  const sizes = [];
  for (let part = 0; part < 4; part++) {
    for (let round = 0; round < 25; round++) {
      await puller.pull("up");
      await puller.pull("down");
    }
    sizes.push(memoryKiB(process.pid));
  }
  await settle();
  const told = (await Deno.readTextFile(file)).trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  const { printed, lost } = accountFor(told);
  assert(printed > 40_000, `only ${printed} edges, ${lost} lost`);
  // The first part fills what is used again later: heap, compiled code.
  const [, second = 0, , last = 0] = sizes;
  assert(last < second * 1.15 + 2048, `it grew: ${sizes.join(" ")} KiB`);
});

Deno.test("gpiomon counts what the kernel dropped while it was stopped", async () => {
  const width = 64;
  await using chip = await simChip({ lines: width });
  await using process = tools.start("ours", "gpiomon", [
    "--banner",
    "--json",
    "--idle-timeout=2s",
    `${chip.name}/0-${width - 1}`,
  ]);
  await process.waitFor('"ready"', { timeoutMs: 120_000 });
  using puller = new Puller(chip, width);
  await puller.pull("up");
  await process.waitFor(`/${width - 1}","chip`);
  Deno.kill(process.pid, "SIGSTOP");
  for (let round = 0; round < 10; round++) {
    await puller.pull("down");
    await puller.pull("up");
  }
  Deno.kill(process.pid, "SIGCONT");
  const { code, stdout, stderr } = await ended(process);
  assertEquals(code, 0);
  const [, ...told] = stdout.trim().split("\n").map((line) => JSON.parse(line));
  const { printed, lost } = accountFor(told);
  assertEquals([printed, lost], [64 + 1024, 20 * 64 - 1024]);
  assertEquals(
    stderr,
    "gpiomon: 256 events were lost, 256 in all: they arrived faster than they could be read\n",
  );
});
