import { assertEquals } from "@std/assert";
import { handOverService } from "./hand_over.ts";

/** Steps of a hand-over, in order. */
async function recordSteps(
  options: {
    readonly isWritten?: boolean;
    readonly isQuiet?: boolean;
    /** Readers of the output that take nothing until the next process serves. */
    readonly isBlocked?: boolean;
  } = {},
): Promise<string[]> {
  const { isWritten = true, isQuiet = true, isBlocked = false } = options;
  const steps: string[] = [];
  const taken = Promise.withResolvers<void>();
  if (!isBlocked) taken.resolve();
  await handOverService({
    endLeases: () => Promise.resolve(void steps.push("end leases")),
    edgeFile: {
      catchUp: () => {
        steps.push("catch up");
        return Promise.resolve(isWritten);
      },
      close: (limitMs) =>
        Promise.resolve(void steps.push(`close the file in ${limitMs} ms`)),
    },
    handOver: () => {
      steps.push("serve nothing");
      return Promise.resolve(isQuiet);
    },
    leaveSockets: () => steps.push("leave sockets"),
    flush: async () => {
      await taken.promise;
      steps.push("flushed");
    },
    handedOver: () => {
      steps.push("handed over");
      taken.resolve();
    },
  });
  return steps;
}

Deno.test("a service writes what it can while it serves, and hands over with all said", async () => {
  assertEquals(await recordSteps(), [
    "end leases",
    "catch up",
    "serve nothing",
    "close the file in 1000 ms",
    "leave sockets",
    "flushed",
    "handed over",
  ]);
});

Deno.test("no guest waits for readers of the output, nor for a disk that hangs", async () => {
  assertEquals(await recordSteps({ isWritten: false, isBlocked: true }), [
    "end leases",
    "catch up",
    "serve nothing",
    "close the file in 20 ms",
    "leave sockets",
    "handed over",
    "flushed",
  ]);
});

Deno.test("what may go on is not handed over before the process has ended", async () => {
  const steps = await recordSteps({ isQuiet: false });
  assertEquals(steps.at(-1), "flushed");
});
