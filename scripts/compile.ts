/**
 * Makes one executable of gpioagg, with the reactor Worker inside and least
 * permissions, and tries it.
 *
 * Usage: `deno task compile [--target x86_64|aarch64]`. The result is
 * `dist/gpioagg-TARGET`.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";

const TARGETS: readonly string[] = ["x86_64", "aarch64"];

/** Files that run in a Worker: not found by following imports. */
const WORKERS = ["src/daemon/reactor_worker.ts", "src/daemon/lane_worker.ts"];

const { target = Deno.build.arch } = parseArgs(Deno.args, {
  string: ["target"],
}) as { target?: string };
if (!TARGETS.includes(target)) {
  fail(2, `unknown target "${target}": ${TARGETS.join(" or ")}`);
}
const triple = `${target}-unknown-linux-gnu`;
const root = new URL("..", import.meta.url).pathname;
const output = `${root}dist/gpioagg-${target}`;

const compiled = await run(Deno.execPath(), [
  "compile",
  "-q",
  "-P=gpioagg",
  "--target",
  triple,
  ...WORKERS.flatMap((worker) => ["--include", worker]),
  "--output",
  output,
  "src/cli/main.ts",
]);
if (compiled.code !== 0) {
  const why = compiled.text.match(/denort|download|dns|fetch|connect/i) === null
    ? compiled.text
    : `${compiled.text}
The runtime part, denort ${Deno.version.deno} for ${triple}, is missing here.
deno downloads it on first use where its release site can be reached. Elsewhere
bring the file: name it in DENORT_BIN, or lay it beside ${Deno.execPath()}
as "denort" (for this machine's own target).`;
  fail(1, `cannot compile for ${target}:\n${why}`);
}
const { size } = await Deno.stat(output);
say(`${output}: ${(size / 2 ** 20).toFixed(1)} MiB`);

if (target === Deno.build.arch) {
  for (const args of [["--version"], ["demo"]]) {
    const tried = await run(output, args);
    say(tried.text.trimEnd());
    if (tried.code !== 0) {
      fail(1, `gpioagg ${args.join(" ")} failed with ${tried.code}`);
    }
  }
} else {
  say(`not tried: this machine is ${Deno.build.arch}`);
}

async function run(
  program: string,
  args: string[],
): Promise<{ code: number; text: string }> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args,
    cwd: root,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

function say(text: string): void {
  console.log(text);
}

function fail(code: number, text: string): never {
  console.error(`compile: ${text}`);
  Deno.exit(code);
}
