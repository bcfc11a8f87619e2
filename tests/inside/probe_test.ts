import { inside } from "./inside.ts";

await inside(() => import("../process/probe_test.ts"), [
  // A process that is interrupted.
  "probe --monitor ends at once when it is interrupted",
]);
