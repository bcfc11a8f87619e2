import { inside } from "./inside.ts";

await inside(() => import("../uml_host/replug_test.ts"), [
  // Seconds each, for lines that other tests cover.
  "a chip that is unplugged comes back under its guest (in the reactor)",
  "an interrupt that was due while the chip was away comes with it (in a lane)",
  "an optional chip may come after its guest, a missing one may not (in a lane)",
  "a guest that goes while its chip is away leaves a safe line (in a lane)",
]);
