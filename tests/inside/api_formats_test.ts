import { inside } from "./inside.ts";

await inside(() => import("../process/api_formats_test.ts"), [
  // A program of others.
  "promtool accepts the metrics",
  "promtool accepts the alerts, and they are raised when they should",
]);
