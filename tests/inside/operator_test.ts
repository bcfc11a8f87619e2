import { inside } from "./inside.ts";

await inside(() => import("../process/operator_test.ts"), [
  // Seconds each, for lines that other tests cover.
  "gpioagg force holds lines while it runs, and ends forces",
]);
