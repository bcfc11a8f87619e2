/**
 * Command lines of gpioagg run in this isolate, with what they print.
 *
 * @module
 */
import { run } from "../../../src/cli/main.ts";
import { flushOutput } from "../../../src/cli/output/output.ts";

/** Commands that others depend on write in the background. */
const FLUSH_LIMIT_MS = 1000;

/** A command line that ended. */
export interface Captured {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of a command line. */
export interface CaptureOptions {
  /** Standard input, as it is read bit by bit; nothing by default. */
  readonly input?: readonly string[];
  /** Set if standard input is a terminal. */
  readonly isTerminal?: boolean;
  /** Called whenever something was printed, with all of it. */
  readonly onOutput?: (text: string) => void;
}

/** Runs the program's command line: for those that end by themselves. */
export function gpioagg(
  args: readonly string[],
  options: CaptureOptions = {},
): Promise<Captured> {
  return captured(() => run(args, "gpioagg"), options);
}

/**
 * Collects what `action` prints on the standard streams.
 *
 * One at a time: the streams are the isolate's.
 */
export async function captured(
  action: () => number | Promise<number>,
  { input = [], isTerminal = false, onOutput }: CaptureOptions = {},
): Promise<Captured> {
  const text = { stdout: "", stderr: "" };
  const decoder = new TextDecoder();
  const left = input.map((part) => new TextEncoder().encode(part));
  const changes: [object, Record<string, unknown>][] = [];
  const replace = (target: object, values: Record<string, unknown>) => {
    const before = Object.fromEntries(
      Object.keys(values).map((key) => [key, Reflect.get(target, key)]),
    );
    changes.push([target, before]);
    Object.assign(target, values);
  };
  for (const name of ["stdout", "stderr"] as const) {
    const writeSync = (bytes: Uint8Array) => {
      text[name] += decoder.decode(bytes);
      onOutput?.(text.stdout);
      return bytes.length;
    };
    // deno-lint-ignore require-await
    const write = async (bytes: Uint8Array) => writeSync(bytes);
    replace(Deno[name], { writeSync, write });
  }
  const take = (target: Uint8Array) => {
    const part = left.shift();
    if (part === undefined) return null;
    target.set(part);
    return part.length;
  };
  replace(Deno.stdin, {
    isTerminal: () => isTerminal,
    setRaw: () => {},
    read: (target: Uint8Array) => Promise.resolve(take(target)),
    readSync: take,
  });
  try {
    const code = await action();
    await flushOutput(FLUSH_LIMIT_MS);
    return { code, ...text };
  } finally {
    for (const [target, before] of changes) Object.assign(target, before);
  }
}
