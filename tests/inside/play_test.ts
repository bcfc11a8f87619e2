import { inside } from "./inside.ts";

await inside(() => import("../process/play_test.ts"), [
  // Seconds each, for lines that other tests cover.
  "files and lines that cannot be played are refused",
]);
