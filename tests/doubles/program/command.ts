/**
 * The program without a process: `Deno.Command` of this isolate runs command
 * lines of gpioagg in a Worker, and all others as ever.
 *
 * Tests that were written for processes run in the unit tier with it, where
 * they see the kernel double and are counted by the coverage.
 *
 * @module
 */
import { activeKernel } from "../gpio_kernel/kernel.ts";
import type { ProgramOrder, ProgramReport, ProgramStart } from "./worker.ts";

/**
 * Has gpioagg's command lines run in Workers, until disposed.
 *
 * @param userId User that they believe to be; absent: this process's.
 */
export function runProgramsInside(userId?: number): Disposable {
  const RealCommand = Deno.Command;
  const replacement = function (
    command: string | URL,
    options: Deno.CommandOptions = {},
  ): Deno.Command {
    const args = options.args ?? [];
    if (`${command}`.endsWith("/scripts/environment")) {
      return answering(JSON.stringify({ deno: Deno.execPath() }));
    }
    const entry = args.findIndex((word) => word.endsWith("src/cli/main.ts"));
    const isLauncher = `${command}`.endsWith("/scripts/gpioagg");
    return entry < 0 && !isLauncher
      ? new RealCommand(command, options)
      : commandInside(args.slice(entry + 1), options, userId);
  };
  Object.assign(Deno, { Command: replacement });
  return {
    [Symbol.dispose]: () => void Object.assign(Deno, { Command: RealCommand }),
  };
}

/** A command that has said `text` already. */
function answering(text: string): Deno.Command {
  const output = {
    success: true,
    code: 0,
    signal: null,
    stdout: new TextEncoder().encode(text),
    stderr: new Uint8Array(),
  };
  return { output: () => Promise.resolve(output) } as unknown as Deno.Command;
}

function commandInside(
  args: readonly string[],
  options: Deno.CommandOptions,
  userId: number | undefined,
): Deno.Command {
  const start = (hasInput: boolean): ProgramStart => ({
    args,
    env: { ...Deno.env.toObject(), ...options.env },
    hasInput,
    kernel: activeKernel()?.address,
    userId,
  });
  const command: Pick<Deno.Command, "spawn" | "output"> = {
    spawn: () => childInside(start(options.stdin === "piped")),
    output: () => childInside(start(false)).output(),
  };
  return command as Deno.Command;
}

function childInside(start: ProgramStart): Deno.ChildProcess {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    name: `gpioagg ${start.args.join(" ")}`,
  });
  const order = (order: ProgramOrder) => worker.postMessage(order);
  const ended = Promise.withResolvers<Deno.CommandStatus>();
  let isOver = false;
  const controllers: Partial<
    Record<string, ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>>
  > = {};
  const stream = (name: string) =>
    new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => void (controllers[name] = controller),
      cancel: () => void delete controllers[name],
    });
  const [stdout, stderr] = [stream("stdout"), stream("stderr")];
  const finish = (code: number, signal: Deno.Signal | null) => {
    if (isOver) return;
    isOver = true;
    for (const controller of Object.values(controllers)) controller?.close();
    ended.resolve({ success: code === 0, code, signal });
  };
  worker.onmessage = ({ data }: MessageEvent<ProgramReport>) => {
    if ("code" in data) finish(data.code, data.signal ?? null);
    else if (!isOver) {
      controllers[data.stream]?.enqueue(
        data.bytes as Uint8Array<ArrayBuffer>,
      );
    }
  };
  worker.onerror = (event) => {
    event.preventDefault();
    controllers["stderr"]?.enqueue(
      new TextEncoder().encode(`error: Uncaught ${event.message}\n`),
    );
    finish(1, null);
  };
  order({ start });
  const child = {
    pid: Deno.pid,
    stdin: new WritableStream<Uint8Array>({
      write: (bytes) => order({ input: bytes }),
      close: () => order({ input: undefined }),
    }),
    stdout,
    stderr,
    status: ended.promise,
    kill: (signal: Deno.Signal = "SIGTERM") => {
      if (signal !== "SIGKILL") return order({ signal });
      worker.terminate();
      finish(137, "SIGKILL");
    },
    output: async () => {
      const [out, err, status] = await Promise.all([
        readBytes(stdout),
        readBytes(stderr),
        ended.promise,
      ]);
      return { ...status, stdout: out, stderr: err };
    },
    ref: () => {},
    unref: () => {},
  };
  return child as unknown as Deno.ChildProcess;
}

async function readBytes(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
