import { inside } from "./inside.ts";

await inside(() => import("../process/api_access_test.ts"), [
  // Seconds each, for lines that other tests cover.
  "another user may look where the mode lets him, and change nothing",
]);
