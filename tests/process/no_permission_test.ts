/** Directories in which this user may make no files. */
import { assert, assertEquals } from "@std/assert";
import { effectiveUserId } from "../../ffi/sysfs.ts";
import { mustIgnore } from "../doubles/skipped.ts";
import { ChildProcess } from "../environment/process.ts";
import { lacksApi, PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const LIMIT = { timeoutMs: 120_000 };
const isRoot = effectiveUserId() === 0;
/** For root a directory's mode counts only without these. */
const POWERLESS = isRoot
  ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
  : [];

const hasSetpriv = !isRoot || await new Deno.Command("setpriv", {
  args: [...POWERLESS.slice(1), "true"],
  stderr: "null",
}).output().then(({ success }) => success, () => false);
const cannotRun = mustIgnore(
  hasSetpriv ? undefined : "setpriv, of util-linux, cannot take root's rights",
) || lacksApi();

Deno.test({
  name: "a command that may not write names the file, and leaves nothing",
  ignore: cannotRun,
  fn: async () => {
    const scratch = await Deno.makeTempDir({ prefix: "gpioagg-closed-" });
    await using stack = new AsyncDisposableStack();
    stack.defer(() => Deno.remove(scratch, { recursive: true }));
    const closed = `${scratch}/closed`;
    const api = `${scratch}/api.sock`;
    const config = `${scratch}/gpioagg.yaml`;
    const edges = `${scratch}/edges.jsonl`;
    await Deno.writeTextFile(
      config,
      `aggregators:
  own: { vhost-user: ${scratch}/own.sock, lines: [ sim/1 ] }
record: { file: ${closed}/edges.jsonl }
`,
    );
    await Deno.writeTextFile(
      edges,
      '{"time":"2026-11-29T15:00:00Z","aggregator":"own","line":"0","value":1}\n',
    );
    await Deno.mkdir(closed, { mode: 0o555 });
    // The file is there, and may not be opened: of its owner's own making.
    const secret = `${scratch}/secret`;
    await Deno.writeTextFile(secret, "0123456789abcdef\n", { mode: 0o000 });
    const before = [...Deno.readDirSync(scratch)].map(({ name }) => name);
    for (
      const [file, ...args] of [
        ["a.sock", "serve", `--socket-path=${closed}/a.sock`, "--line=sim/1"],
        ["api.sock", "serve", "--api", `${closed}/api.sock`],
        ["audit.log", "serve", "--api", api, `--audit-log=${closed}/audit.log`],
        ["edges.jsonl", "serve", "--config", config],
        [
          "token",
          "ui",
          "--port=0",
          "--api",
          api,
          `--token-file=${closed}/token`,
        ],
        ["secret", "ui", "--port=0", "--api", api, `--token-file=${secret}`],
        ["secret", "record", "--file", edges, "--csv", secret],
        ["secret", "serve", "--api", api, `--audit-log=${secret}`],
        ["secret", "play", secret],
        ["out.csv", "record", "--file", edges, "--csv", `${closed}/out.csv`],
        ["man1", "man", `--output=${closed}`],
        ["gpiodetect", "install-tools", closed],
      ] as const
    ) {
      const [command, ...rest] = [
        ...POWERLESS,
        ...[PROGRAM_FILE, ...PROGRAM, ...args],
      ];
      await using process = new ChildProcess({
        command: command!,
        args: rest,
        env: { XDG_RUNTIME_DIR: "/dev/null/none" },
      });
      const { code } = await process.waitForExit(LIMIT);
      const { stderr } = process;
      const what = `${args.join(" ")}: ${stderr}`;
      assertEquals(code, 1, what);
      const name = file === "secret" ? secret : `${closed}/${file}`;
      assert(stderr.includes(name), what);
      assert(!stderr.includes("/proc/"), what);
      assert(/permission denied|no permission/i.test(stderr), what);
      assert(!stderr.includes("    at "), what);
      assertEquals([...Deno.readDirSync(closed)], [], what);
      const after = [...Deno.readDirSync(scratch)].map(({ name }) => name);
      assertEquals(after, before, what);
    }
  },
});
