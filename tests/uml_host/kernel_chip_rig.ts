/**
 * Shared parts of the tests of kernel chips: gpioagg as a process of its own,
 * and a look at what it left.
 *
 * @module
 */
import { listDirectory } from "../../ffi/directory_entries.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import type { InventoryChip } from "../../src/kernel_chip/inventory.ts";
import { waitUntil } from "../../src/async/wait.ts";

/** A process takes a second or two to start in User-Mode Linux. */
const START_LIMIT_MS = 120_000;

/** A program that runs another one, such as `unshare`, and its arguments. */
export type Wrapper = readonly string[];

/** A PID namespace of its own: a container, with the machine's `/run`. */
export const CONTAINER: Wrapper = [
  ...["unshare", "--pid", "--fork", "--mount-proc"],
  // SIGKILL, the only one that ends the wrapper, is a SIGTERM for what it runs.
  "--kill-child=SIGTERM",
];

/** A container with a `/run` of its own too. */
export const LONELY_CONTAINER: Wrapper = [
  ...CONTAINER,
  ...["/bin/sh", "-c", 'mount -t tmpfs none /run && exec "$0" "$@"'],
];

/** Starts `gpioagg` with the permissions that users give it. */
export function startIn(
  wrapper: Wrapper,
  args: readonly string[],
): ChildProcess {
  const [command, ...words] = [...wrapper, PROGRAM_FILE];
  return new ChildProcess({
    command: command!,
    args: [
      ...words,
      ...PROGRAM,
      ...args,
    ],
  });
}

/** Result of a program. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `gpioagg` to its end. */
export function gpioagg(...args: readonly string[]): Promise<Outcome> {
  return gpioaggIn([], ...args);
}

/** Runs `gpioagg` to its end by way of another program. */
export async function gpioaggIn(
  wrapper: Wrapper,
  ...args: readonly string[]
): Promise<Outcome> {
  await using process = startIn(wrapper, args);
  const { code } = await process.waitForExit({ timeoutMs: START_LIMIT_MS });
  return { code, stdout: process.stdout, stderr: process.stderr };
}

/** Runs `gpioagg kernel` to its end. */
export function kernelCommand(...args: readonly string[]): Promise<Outcome> {
  return gpioagg("kernel", ...args);
}

/** A running `gpioagg kernel create`. */
export interface HeldChip extends AsyncDisposable {
  readonly process: ChildProcess;
  readonly chip: InventoryChip;
}

/** Starts `gpioagg kernel create` and waits until the chip is there. */
export function holdChip(...args: readonly string[]): Promise<HeldChip> {
  return holdChipIn([], ...args);
}

/** The same by way of another program. */
export async function holdChipIn(
  wrapper: Wrapper,
  ...args: readonly string[]
): Promise<HeldChip> {
  const process = startIn(wrapper, ["kernel", "create", "--json", ...args]);
  try {
    const [line] = await process.waitFor(/^.*\n/, {
      timeoutMs: START_LIMIT_MS,
    });
    return {
      process,
      chip: JSON.parse(line),
      [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
    };
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
}

/** Runs a program, such as libgpiod's tools, to its end. */
export async function run(
  command: string,
  args: readonly string[],
  user: { uid?: number; gid?: number } = {},
): Promise<Outcome> {
  const { code, stdout, stderr } = await new Deno.Command(command, {
    args: [...args],
    stdin: "null",
    ...user,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Waits until a device node is gone; answers how long that took. */
export async function msUntilGone(
  path: string,
  limitMs: number,
): Promise<number> {
  const start = performance.now();
  if (!await waitUntil(() => fileStatus(path) === undefined, limitMs)) {
    throw new Error(`${path} is still there after ${limitMs} ms`);
  }
  return performance.now() - start;
}

/**
 * Returns what is left of any kernel chip: devices, groups in configfs,
 * records.
 */
export function leftovers(): string[] {
  const list = (path: string) =>
    fileStatus(path) === undefined ? [] : listDirectory(path);
  return [
    ...list("/sys/bus/platform/devices").filter((name) =>
      name.startsWith("gpio-aggregator")
    ),
    ...list("/sys/kernel/config/gpio-aggregator"),
    ...list("/run/gpioagg/kernel-chips").filter((name) => name !== "lock"),
  ];
}
