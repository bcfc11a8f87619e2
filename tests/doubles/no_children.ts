/**
 * Refuses new processes, where tests run on several threads of one process.
 *
 * `testSerially` says why.
 *
 * @module
 */
import { ALONE_VARIABLE } from "./test_alone.ts";

/** In place of `Deno.Command`. */
class RefusedCommand {
  constructor(command: string | URL) {
    throw new Error(
      `Cannot start ${command} beside other tests: define this one with ` +
        "testSerially() (tests/doubles/test_alone.ts)",
    );
  }
}

if (Deno.env.get(ALONE_VARIABLE) === "none") {
  Deno.Command = RefusedCommand as unknown as typeof Deno.Command;
}
