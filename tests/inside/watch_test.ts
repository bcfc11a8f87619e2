import { inside } from "./inside.ts";

await inside(() => import("../uml_host/watch_test.ts"), [
  // Stops the process of the service.
  "pulses on chip lines are edges with the kernel's times, causes and effects in order, and a record of them",
  // Seconds each, for lines that other tests cover.
  "a guest misses no edge while watchers come and go (in the reactor)",
  "a guest misses no edge while watchers come and go (in a lane)",
]);
