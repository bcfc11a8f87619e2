import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { ReaderGone, runTool, writeAll } from "./output.ts";
import { ToolError } from "./tool_error.ts";

/** Takes a few bytes at a time and fails where it is told to. */
class Sink {
  readonly taken: number[] = [];
  readonly #failures: Error[];

  constructor(...failures: Error[]) {
    this.#failures = failures;
  }

  writeSync(bytes: Uint8Array): number {
    const failure = this.#failures.shift();
    if (failure !== undefined) throw failure;
    const part = bytes.subarray(0, 3);
    this.taken.push(...part);
    return part.length;
  }
}

const bytes = new Uint8Array([1, 2, 3, 4, 5, 6, 7]);

Deno.test("writeAll() writes what a short write has left", () => {
  const sink = new Sink();
  writeAll(sink, bytes);
  assertEquals(sink.taken, [...bytes]);
});

Deno.test("writeAll() waits for a non-blocking pipe that is full", () => {
  const full = () => new Deno.errors.WouldBlock("full");
  const sink = new Sink(full(), full());
  writeAll(sink, bytes);
  assertEquals(sink.taken, [...bytes]);
});

Deno.test("writeAll() tells a reader that is gone from a disk that is full", () => {
  const sinkOf = (error: Error) => () => writeAll(new Sink(error), bytes);
  assertThrows(sinkOf(new Deno.errors.BrokenPipe("gone")), ReaderGone);
  const full = Object.assign(new Error("os error 28"), { code: "ENOSPC" });
  assertThrows(
    sinkOf(full),
    ToolError,
    "unable to write output: No space left on device",
  );
});

Deno.test("runTool() ends quietly, as if by SIGPIPE, when the reader is gone", async () => {
  const status = await runTool("gpiomon", () => {
    throw new ReaderGone();
  });
  assertEquals(status, 141);
});

Deno.test("runTool() lets bugs pass", async () => {
  await assertRejects(
    () =>
      runTool("gpioget", () => {
        throw new TypeError("a bug");
      }),
    TypeError,
    "a bug",
  );
});
