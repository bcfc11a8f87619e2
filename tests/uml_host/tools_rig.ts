/**
 * Runs libgpiod's tools and ours side by side on the same simulated chips.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { readLink } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { artefact } from "../environment/environment.ts";
import type { SimChip } from "../environment/gpio_sim.ts";
import { ChildProcess } from "../environment/process.ts";
import { settle, simChip, until } from "./gpio_sim.ts";
import { LAUNCHER } from "../environment/program.ts";

/** Origin of the tools. */
export type Side = "reference" | "ours";

/** Both, in the order in which they are run. */
export const SIDES: readonly Side[] = ["reference", "ours"];

/** A tool that ended. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of a tool's run. */
export interface RunOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** A program that was compiled and started a moment ago takes its time here. */
const START_LIMIT_MS = 120_000;

/** Directories of the tools of both sides, made once for all tests of a file. */
export class Tools {
  readonly #directories: Readonly<Record<Side, string>>;
  /** Which options were given to both sides, by tool. */
  readonly compared = new Map<string, Set<string>>();

  private constructor(directories: Readonly<Record<Side, string>>) {
    this.#directories = directories;
  }

  /** Finds libgpiod's tools, and installs ours as `install-tools` does. */
  static async find(): Promise<Tools> {
    const ours = await Deno.makeTempDir({ prefix: "gpioagg-tools-" });
    const installed = await new Deno.Command(LAUNCHER, {
      args: ["install-tools", ours],
    }).output();
    assertEquals(
      installed.code,
      0,
      new TextDecoder().decode(installed.stderr),
    );
    return new Tools({ reference: await artefact("gpiod"), ours });
  }

  /** The path of a tool. */
  path(side: Side, tool: string): string {
    return `${this.#directories[side]}/${tool}`;
  }

  /** Runs a tool to its end. */
  async run(
    side: Side,
    tool: string,
    args: readonly string[],
    options: RunOptions = {},
  ): Promise<Ran> {
    await using process = this.start(side, tool, args, options);
    if (options.stdin !== undefined) {
      await process.write(options.stdin);
      await process.closeInput();
    }
    return await ended(process);
  }

  /** Starts a tool. */
  start(
    side: Side,
    tool: string,
    args: readonly string[],
    options: RunOptions = {},
  ): ChildProcess {
    this.#note(tool, args);
    return new ChildProcess({
      command: this.path(side, tool),
      args,
      input: options.stdin !== undefined,
      ...(options.env === undefined ? {} : { env: options.env }),
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
  }

  /**
   * Checks that every option in the help of libgpiod's tool was given to both
   * sides, in its short and its long form.
   */
  async assertAllCompared(tool: string): Promise<void> {
    const { stdout } = await this.run("reference", tool, ["--help"]);
    const compared = this.compared.get(tool) ?? new Set();
    const missing = [...stdout.matchAll(/^ {2}(?:(-\w), | {4})(--[a-z-]+)/gm)]
      .flatMap(([, short, long]) =>
        short === undefined ? [long!] : [short, long!]
      )
      // These are compared for all tools at once.
      .filter((option) => !/^-(h|v|-help|-version)$/.test(option))
      .filter((option) => !compared.has(option));
    assertEquals(missing, [], `${tool}: never compared`);
  }

  #note(tool: string, args: readonly string[]): void {
    const options = this.compared.get(tool) ?? new Set<string>();
    this.compared.set(tool, options);
    for (const word of args) {
      if (word === "--") break;
      const [name = ""] = word.split("=", 1);
      if (/^--?[a-zA-Z]/.test(word)) options.add(name);
      // Bundled letters are options each, as far as they take no value.
      if (/^-[a-zA-Z]{2,}$/.test(word)) {
        for (const letter of word.slice(1)) options.add(`-${letter}`);
      }
    }
  }

  /**
   * Runs a tool on both sides, which must print the same and end the same.
   *
   * @returns What ours did.
   */
  async same(
    tool: string,
    args: readonly string[],
    options: RunOptions = {},
  ): Promise<Ran> {
    const reference = await this.run("reference", tool, args, options);
    const ours = await this.run("ours", tool, args, options);
    assertEquals(comparable(ours), comparable(reference), words(tool, args));
    return ours;
  }
}

/** A command line, for messages. */
export function words(tool: string, args: readonly string[]): string {
  return [tool, ...args].join(" ");
}

/** Waits until a process has ended. */
export async function ended(process: ChildProcess): Promise<Ran> {
  const { code } = await process.waitForExit({ timeoutMs: START_LIMIT_MS });
  return { code, stdout: process.stdout, stderr: process.stderr };
}

/**
 * Returns what must be the same on both sides: all but the time, the path by
 * which the tool was called, and what ours adds to libgpiod's words for a
 * refusal.
 */
export function comparable(ran: Ran): Ran {
  return {
    code: ran.code,
    stdout: timeless(ran.stdout),
    stderr: ran.stderr
      .replaceAll(/(?<=^|try )\S*\/(gpio[a-z]+)(?=:| --help)/gm, "$1")
      .replaceAll(
        /unable to request lines.*?: ([A-Z][a-z ]+[a-z]).*/g,
        "unable to request lines: $1",
      ),
  };
}

/** Text with all times taken out. */
export function timeless(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}/g, "DATE")
    .replaceAll(/\b\d+\.\d{9}\b/g, "SECONDS");
}

/** Waits until a tool says by its banner that it holds or watches its lines. */
export async function ready(process: ChildProcess): Promise<void> {
  await process.waitFor(/\.\.\.\n/, { timeoutMs: START_LIMIT_MS });
}

/** Changes pulls one after the other, each seen before the next. */
export async function pulls(
  chip: SimChip,
  ...changes: readonly (readonly [offset: number, direction: "up" | "down"])[]
): Promise<void> {
  for (const [offset, direction] of changes) {
    await chip.pull(offset, direction);
    await settle();
  }
}

/** The chips that most tests use: names, twins, and a name like an offset. */
export async function twoChips(): Promise<
  AsyncDisposable & { readonly a: SimChip; readonly b: SimChip }
> {
  const stack = new AsyncDisposableStack();
  const a = stack.use(
    await simChip({
      lines: 8,
      names: {
        1: "foo",
        2: "bar",
        3: "4",
        5: "a-name-longer-than-most",
        7: "taken",
      },
      hogs: { 7: "hog" },
    }),
  );
  const b = stack.use(
    await simChip({
      lines: 4,
      label: "label-of-b",
      names: { 0: "baz", 1: "with space", 3: "foo" },
    }),
  );
  return {
    a,
    b,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/**
 * Ends the processes that hold requested lines and are no children of this one:
 * what `gpioset --daemonize` left. They are found by their open lines, so that
 * nothing else is ended.
 *
 * @returns Their numbers.
 */
export async function endHolders(): Promise<number[]> {
  const found = holders();
  for (const pid of found) Deno.kill(pid, "SIGTERM");
  await until("the holders have ended", () => holders().length === 0);
  return found;
}

/** The processes with requested lines, this one left out. */
export function holders(): number[] {
  return listDirectory("/proc").map(Number).filter((pid) =>
    Number.isInteger(pid) && pid !== Deno.pid && holdsLines(pid)
  );
}

function holdsLines(pid: number): boolean {
  try {
    return listDirectory(`/proc/${pid}/fd`).some((fd) =>
      readLink(`/proc/${pid}/fd/${fd}`) === "anon_inode:gpio-line"
    );
  } catch (error) {
    // It ended while we looked.
    if (isOsError(error)) return false;
    throw error;
  }
}
