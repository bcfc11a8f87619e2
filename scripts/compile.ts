/**
 * Compiles gpioagg into one executable, with the Workers inside and the
 * permissions of deno.json and no others, and tries it.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { readElf } from "./executable/elf.ts";
import { stage } from "./executable/stage.ts";
import { askVersion, tryExecutable } from "./executable/trial.ts";
import { makeBeside, setOutputModes } from "./releasing/outputs.ts";

const HELP =
  `Usage: deno task compile [--target ARCH] [--output FILE] [--for-tests]

Compiles gpioagg into one executable and tries it: its versions, the demo, and a
service with the control API, a lane and an isolated aggregator. FILE is
replaced only after all of that worked.

  --target ARCH   x86_64 or aarch64; default: this machine's. An executable of
                  another machine is not tried.
  --output FILE   default: dist/gpioagg-ARCH in the checkout
  --for-tests     also with a Deno older than the one in .deno-version; such an
                  executable is not to be used but in tests
  -h, --help      this text

deno compile needs denort, the runtime that it puts into executables, of Deno's
own version. It downloads denort on first use where Deno's release site can be
reached. Elsewhere, give it the file:
  DENORT_BIN=FILE deno task compile
or the archive as it is published (denort-ARCH-unknown-linux-gnu.zip), in
  $DENO_DIR/dl/release/vVERSION/     ("deno info" shows DENO_DIR)
`;

const TARGETS: readonly string[] = ["x86_64", "aarch64"];

/** The program, and the files that run in a Worker, which no import names. */
const ENTRIES = [
  "src/cli/main.ts",
  "src/service/reactor/reactor_worker.ts",
  "src/service/lanes/lane_worker.ts",
];

/** Libraries that the executable may need, besides the dynamic loader. */
export const LIBRARIES: readonly string[] = [
  "libc.so.6",
  "libdl.so.2",
  "libgcc_s.so.1",
  "libm.so.6",
  "libpthread.so.0",
  "librt.so.1",
];
/** The newest version of the C library that it may need. */
export const GLIBC = "2.27";

const ROOT = new URL("..", import.meta.url).pathname;
/** An older Deno takes the files of the page only if that is said. */
const OLD = isOlder(Deno.version.deno, "2.9") ? ["--unstable-raw-imports"] : [];

if (import.meta.main) Deno.exit(await main(Deno.args));

async function main(args: readonly string[]): Promise<number> {
  const unknown: string[] = [];
  const given = parseArgs([...args], {
    string: ["target", "output"],
    boolean: ["help", "for-tests"],
    alias: { h: "help" },
    unknown: (word: string) => {
      unknown.push(word);
      return false;
    },
  });
  if (given.help) {
    console.log(HELP.trimEnd());
    return 0;
  }
  const { target = Deno.build.arch, output = `${ROOT}dist/gpioagg-${target}` } =
    given;
  if (unknown.length > 0) {
    return fail(2, `unknown argument "${unknown[0]}"; see --help`);
  }
  if (!TARGETS.includes(target)) {
    return fail(2, `unknown target "${target}": ${TARGETS.join(" or ")}`);
  }
  if (output === "") return fail(2, "--output needs a file");
  const pinned = (await Deno.readTextFile(`${ROOT}.deno-version`)).trim();
  if (isOlder(Deno.version.deno, pinned)) {
    const what = `this is Deno ${Deno.version.deno}, older than ${pinned}`;
    if (!given["for-tests"]) return fail(1, `${what} in .deno-version`);
    console.log(`${what}: for tests only, never to be released`);
  }
  // Of the same name: the executable knows what it was compiled as.
  const file = absolute(output);
  setOutputModes();
  const beside = await makeBeside(file);
  const made = `${beside}${file.slice(file.lastIndexOf("/"))}`;
  const staged = await Deno.makeTempDir({ prefix: "gpioagg-compile-" });
  try {
    await compile(staged, target, made);
    await judge(made, target);
    await Deno.rename(made, file);
    console.log(output);
    return 0;
  } catch (error) {
    return fail(1, error instanceof Error ? error.message : String(error));
  } finally {
    await Deno.remove(staged, { recursive: true });
    await Deno.remove(beside, { recursive: true }).catch(() => {});
  }
}

/** Compiles for a target from a copy of what is used, made in `staged`. */
async function compile(
  staged: string,
  target: string,
  output: string,
): Promise<void> {
  // Here and not in the copy: the packages have their types here only.
  await deno(ROOT, ["check", "-q", ...ENTRIES]);
  await stage(
    ROOT,
    staged,
    ENTRIES,
    (...args) => deno(ROOT, ["info", "--json", ...args]),
  );
  const [main, ...workers] = ENTRIES as [string, ...string[]];
  try {
    await deno(staged, [
      "compile",
      "-q",
      "--no-check",
      "-P=gpioagg",
      "--no-prompt",
      // It would lie in the temporary directory under a name that anyone can
      // take: another user's file of that name would be loaded as our code.
      "--no-code-cache",
      // As scripts/gpioagg has it: the isolates keep less memory after much work.
      "--v8-flags=--max-semi-space-size=4",
      "--target",
      `${target}-unknown-linux-gnu`,
      ...workers.flatMap((worker) => ["--include", worker]),
      "--output",
      output,
      main,
    ]);
  } catch (error) {
    const { message } = error as Error;
    throw new Error(
      /denort|download|dns|fetch|connect/i.test(message)
        ? `${message}
denort ${Deno.version.deno} for ${target} is missing here: see --help.`
        : message,
    );
  }
}

/** Looks at an executable, and tries it where this machine can. */
async function judge(file: string, target: string): Promise<void> {
  const { size } = await Deno.stat(file);
  const { machine, libraries, glibc } = readElf(file);
  console.log(
    `${machine}, ${(size / 2 ** 20).toFixed(1)} MiB, needs glibc ${glibc}, ` +
      libraries.join(" "),
  );
  if (machine !== target) throw new Error(`it is for ${machine}`);
  const others = libraries.filter((name) => !LIBRARIES.includes(name));
  if (others.length > 0) {
    throw new Error(`it needs further libraries: ${others.join(" ")}`);
  }
  if (isOlder(GLIBC, glibc)) {
    throw new Error(`it needs glibc ${glibc}, newer than ${GLIBC}`);
  }
  if (target !== Deno.build.arch) {
    console.log(`not tried: this machine is ${Deno.build.arch}`);
    return;
  }
  const said = await askVersion(file);
  const { version } = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`));
  const is = `gpioagg ${said.version}, Deno ${said.deno}, ${said.machine}`;
  const wanted = `gpioagg ${version}, Deno ${Deno.version.deno}, ${target}`;
  if (is !== wanted) throw new Error(`it says "${is}", not "${wanted}"`);
  console.log(is);
  for (const line of await tryExecutable(file)) console.log(line);
}

/** Runs this Deno; gives its output. */
async function deno(cwd: string, args: string[]): Promise<string> {
  const [command, ...others] = args;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [command!, ...OLD, ...others],
    cwd,
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  if (!success) {
    throw new Error(`deno ${args[0]} failed:\n${decoder.decode(stderr)}`);
  }
  return decoder.decode(stdout);
}

function isOlder(version: string, than: string): boolean {
  return version.localeCompare(than, "en", { numeric: true }) < 0;
}

function absolute(path: string): string {
  return path.startsWith("/") ? path : `${Deno.cwd()}/${path}`;
}

function fail(code: number, text: string): number {
  console.error(`compile: ${text.trimEnd()}`);
  return code;
}
