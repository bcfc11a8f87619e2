import { inside } from "./inside.ts";

await inside(() => import("../process/wait_test.ts"), [
  // Seconds each, for lines that other tests cover.
  "wait sees a pulse that is over before it can look",
]);
