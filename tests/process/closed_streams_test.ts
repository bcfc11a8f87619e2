/** Starts with standard streams that are closed, and in odd surroundings. */
import { assert, assertEquals } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { ServiceClient } from "../../src/client/client.ts";
import { ChildProcess } from "../environment/process.ts";
import { lacksApi, PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { until } from "../environment/wait.ts";

const LIMIT = { timeoutMs: 120_000 };

/** Starts the program by a shell that has prepared what it inherits. */
function start(prepare: string, args: readonly string[]): ChildProcess {
  return new ChildProcess({
    command: "sh",
    args: [
      ...["-c", `${prepare}\nexec "$@"`, "sh"],
      ...[PROGRAM_FILE, ...PROGRAM, ...args],
    ],
  });
}

async function scratch() {
  const path = await Deno.realPath(
    await Deno.makeTempDir({ prefix: "gpioagg-closed-" }),
  );
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

Deno.test("no file of ours takes the place of a closed stream, here and in a VMM", async () => {
  await using it = await scratch();
  const seen = `${it.path}/seen`;
  for (const closed of ["<&-", ">&- 2>&-", "<&- >&- 2>&-"]) {
    await using process = start(`exec ${closed}`, [
      ...["run", "--line", "sim/1", "--", "sh", "-c"],
      `for n in 0 1 2; do readlink /proc/$$/fd/$n; done >"$0"; : "$1"`,
      ...[seen, "{socket}"],
    ]);
    const { code } = await process.waitForExit(LIMIT);
    assertEquals(code, 0, `${closed}: ${process.stderr}`);
    const streams = Deno.readTextFileSync(seen).trim().split("\n");
    assertEquals(streams.length, 3, closed);
    for (const stream of streams) {
      // The second one is the file itself.
      assert(/^(\/dev\/null|pipe:.*)$/.test(stream) || stream === seen, stream);
    }
  }
});

Deno.test({
  name: "a service without streams writes only what belongs into its files",
  ignore: lacksApi(),
  fn: async () => {
    await using it = await scratch();
    const [api, log] = [`${it.path}/api.sock`, `${it.path}/audit.log`];
    await using service = start(
      "cd /; unset TMPDIR XDG_RUNTIME_DIR; exec <&- >&- 2>&-",
      ["serve", `--api=${api}`, `--api-sockets=${it.path}`, "--audit-log", log],
    );
    await until(
      "the control API",
      () => {
        assertEquals(service.status, undefined);
        return fileStatus(api) !== undefined;
      },
      120_000,
    );
    const client = new ServiceClient(api);
    await client.createLasting({ name: "a", lines: ["sim/1"] });
    // These are told on a stream, and audited.
    await client.pull("a", { 0: 1 });
    await client.remove("a");
    service.kill("SIGTERM");
    assertEquals((await service.waitForExit(LIMIT)).code, 0);
    const actions = Deno.readTextFileSync(log).trim().split("\n")
      .map((line) => JSON.parse(line).action);
    assertEquals(actions, ["create", "pull", "remove"]);
    assertEquals(fileStatus(log)?.mode, 0o600);
    assertEquals([...Deno.readDirSync(it.path)].map(({ name }) => name), [
      "audit.log",
    ]);
  },
});
