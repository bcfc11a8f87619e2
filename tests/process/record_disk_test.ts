/** The file of edges becomes the older one while its disk takes nothing. */
import { assert, assertEquals } from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { FAULT_REASONS, FullDisk, lacksMounts } from "../doubles/full_disk.ts";
import { ChildProcess } from "../environment/process.ts";
import { lacksApi, PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { until } from "../environment/wait.ts";

const LIMIT = { timeoutMs: 120_000 };
/**
 * The file becomes the older one at 512 KiB, half of its least size: text before
 * the disk is full, and text that waits then.
 */
const FIRST_BYTES = 400 * 1024;
const WAITING_BYTES = 200 * 1024;
/** Edges at a time. */
const EDGES = 500;
/** For root a directory's mode counts only without these. */
const POWERLESS = [
  "setpriv",
  "--bounding-set=-dac_override,-dac_read_search",
];
const OUTPUT = 1;

type Fault = "no bytes" | "no files" | "no permission";

const REASONS: Readonly<Record<Fault, string>> = {
  "no bytes": FAULT_REASONS["no bytes"],
  "no files": FAULT_REASONS["no files"],
  "no permission": "permission denied",
};

for (const fault of ["no bytes", "no files", "no permission"] as const) {
  Deno.test({
    name: `a record grows beyond its half with ${fault}, and goes on later`,
    ignore: lacksMounts() || lacksApi(),
    fn: () => recordsOn(fault),
  });
}

async function recordsOn(fault: Fault): Promise<void> {
  await using disk = await FullDisk.mount();
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-record-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const file = `${disk.path}/edges.jsonl`;
  const config = `${directory}/gpioagg.yaml`;
  await Deno.writeTextFile(
    config,
    `aggregators:
  own: { vhost-user: ${directory}/own.sock, lines: [ "sim/1,as=OUT" ] }
api: { socket: ${directory}/api.sock }
record: { file: ${file}, size: 1MB }
`,
  );
  await using service = new ChildProcess({
    command: POWERLESS[0]!,
    args: [
      ...POWERLESS.slice(1),
      ...[PROGRAM_FILE, ...PROGRAM, "serve", "--config", config],
    ],
  });
  await service.waitFor("control API at", { ...LIMIT, stream: "stderr" });
  const client = new ServiceClient(`${directory}/api.sock`);
  using frontend = Frontend.open(`${directory}/own.sock`, LIMIT);
  const driver = GpioDriver.attach(frontend);
  driver.setValue(0, 0);
  driver.setDirection(0, OUTPUT);
  let level = 0;
  let edges = 0;
  const toggle = () => {
    for (let i = 0; i < EDGES; i++, edges++) driver.setValue(0, level ^= 1);
  };
  const size = (suffix = "") => {
    try {
      return Deno.statSync(`${file}${suffix}`).size;
    } catch {
      return 0;
    }
  };
  while (size() < FIRST_BYTES) {
    const before = size();
    toggle();
    await until("the edges are written", () => size() > before);
  }
  assertEquals(size(".1"), 0);
  if (fault === "no permission") await Deno.chmod(disk.path, 0o555);
  else await disk.break(fault);
  const from = service.stderr.length;
  const perEdge = size() / edges;
  for (let i = 0; i * EDGES * perEdge < WAITING_BYTES; i++) toggle();
  await service.waitFor(
    `Cannot write the record of edges to ${file}: ${REASONS[fault]}`,
    { ...LIMIT, stream: "stderr", from },
  );
  // Guests and clients are served on.
  toggle();
  assertEquals((await client.list()).map(({ name }) => name), ["own"]);
  const values = (await client.show("own")).lines.map(({ value }) => value);
  assertEquals(values, [level]);
  if (fault === "no permission") await Deno.chmod(disk.path, 0o755);
  else await disk.repair();
  await service.waitFor(`the record of edges ${file} is written again`, {
    ...LIMIT,
    stream: "stderr",
    from,
  });
  toggle();
  service.kill("SIGTERM");
  assertEquals((await service.waitForExit(LIMIT)).code, 0, service.stderr);
  assert(size(".1") > FIRST_BYTES, `${size(".1")}`);
  const told = [...service.stderr.matchAll(/Cannot write the record/g)];
  assertEquals(told.length, 1, service.stderr);
  // Each edge is there once, in whole lines.
  const rows = ["", ".1"].toReversed().flatMap((suffix) =>
    Deno.readTextFileSync(`${file}${suffix}`).trimEnd().split("\n")
  ).map((row) => JSON.parse(row));
  const seen = rows.filter(({ cause, line }) =>
    cause === "guest" && line === "OUT"
  );
  assertEquals(seen.length, edges + 1);
}
