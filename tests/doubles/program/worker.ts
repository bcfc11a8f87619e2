/**
 * Entry of a Worker that runs the program's command line as a process would:
 * with standard streams, signals, environment and exit status of its own.
 *
 * @module
 */
import { GpioKernel, type KernelAddress } from "../gpio_kernel/kernel.ts";
import { shareKernel } from "../gpio_kernel/workers.ts";
import { replaceRelays } from "./relay_process.ts";

/** Start of the program. */
export interface ProgramStart {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly hasInput: boolean;
  readonly kernel: KernelAddress | undefined;
  /** User that it believes to be; absent: this process's. */
  readonly userId: number | undefined;
}

/** Messages to the Worker: its start first. */
export type ProgramOrder =
  | { start: ProgramStart }
  | { signal: Deno.Signal }
  /** Undefined at the end of the input. */
  | { input: Uint8Array | undefined };

/** Reports of the Worker. */
export type ProgramReport =
  | { stream: "stdout" | "stderr"; bytes: Uint8Array }
  | { code: number; signal?: Deno.Signal };

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<ProgramOrder>) => void;
  postMessage(report: ProgramReport): void;
  close(): void;
};

/** Thrown by `Deno.exit`, which does not return. */
class Exit extends Error {}

const handlers = new Map<Deno.Signal, Set<() => void>>();
const input: (Uint8Array | undefined)[] = [];
let wakeReader = () => {};
let isOver = false;

function end(code: number, signal?: Deno.Signal): void {
  if (isOver) return;
  isOver = true;
  scope.postMessage(signal === undefined ? { code } : { code, signal });
  scope.close();
}

function exit(code = 0): never {
  end(code);
  throw new Exit();
}

function raise(signal: Deno.Signal): void {
  const heard = handlers.get(signal);
  if (heard === undefined || heard.size === 0) end(128, signal);
  else for (const handler of [...heard]) handler();
}

function replaceStreams(hasInput: boolean): void {
  for (const stream of ["stdout", "stderr"] as const) {
    const writeSync = (bytes: Uint8Array) => {
      scope.postMessage({ stream, bytes: bytes.slice() });
      return bytes.length;
    };
    Object.assign(Deno[stream], {
      writeSync,
      // deno-lint-ignore require-await
      write: async (bytes: Uint8Array) => writeSync(bytes),
    });
  }
  if (!hasInput) input.push(undefined);
  Object.assign(Deno.stdin, {
    isTerminal: () => false,
    readSync: () => null,
    read: async (target: Uint8Array) => {
      while (input.length === 0) {
        await new Promise<void>((resolve) => wakeReader = resolve);
      }
      const [bytes] = input;
      if (bytes === undefined) return null;
      const count = Math.min(bytes.length, target.length);
      target.set(bytes.subarray(0, count));
      if (count === bytes.length) input.shift();
      else input[0] = bytes.subarray(count);
      return count;
    },
  });
}

function replaceProcess({ env }: ProgramStart): void {
  const get = (name: string) => env[name];
  Object.defineProperty(Deno, "env", {
    value: { get, has: (name: string) => name in env, toObject: () => env },
  });
  const { kill, pid } = Deno;
  Object.assign(Deno, {
    exit,
    chdir: () => {},
    kill: (target: number, signal: Deno.Signal = "SIGTERM") =>
      target === pid ? raise(signal) : kill(target, signal),
    addSignalListener: (signal: Deno.Signal, handler: () => void) => {
      const heard = handlers.get(signal) ?? new Set();
      handlers.set(signal, heard.add(handler));
    },
    removeSignalListener: (signal: Deno.Signal, handler: () => void) =>
      handlers.get(signal)?.delete(handler),
  });
}

/** Root's records are the machine's: tests have users with records elsewhere. */
function replaceUser(userId: number): void {
  const { dlopen } = Deno;
  Object.assign(Deno, {
    dlopen: (file: string, wanted: Deno.ForeignLibraryInterface) => {
      const library = dlopen(file, wanted);
      if (!("geteuid" in wanted)) return library;
      return { symbols: { ...library.symbols, geteuid: () => userId } };
    },
  });
}

async function runProgram(start: ProgramStart): Promise<void> {
  if (start.kernel !== undefined) {
    replaceRelays(GpioKernel.join(start.kernel));
    shareKernel();
  }
  if (start.userId !== undefined) replaceUser(start.userId);
  replaceStreams(start.hasInput);
  replaceProcess(start);
  globalThis.addEventListener("unhandledrejection", (event) => {
    if (event.reason instanceof Exit) event.preventDefault();
  });
  try {
    const { run } = await import("../../../src/cli/main.ts");
    const { flushOutput } = await import("../../../src/cli/output/output.ts");
    const { calledAs } = await import("../../../src/cli/program_name.ts");
    const status = await run(start.args, calledAs());
    await flushOutput(1000);
    end(status);
  } catch (error) {
    if (error instanceof Exit) return;
    const text = error instanceof Error ? error.stack : String(error);
    scope.postMessage({
      stream: "stderr",
      bytes: new TextEncoder().encode(`error: Uncaught ${text}\n`),
    });
    end(1);
  }
}

scope.onmessage = ({ data }) => {
  if ("start" in data) runProgram(data.start);
  else if ("signal" in data) raise(data.signal);
  else {
    input.push(data.input);
    wakeReader();
  }
};
