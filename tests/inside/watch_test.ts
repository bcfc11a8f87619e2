import { inside } from "./inside.ts";

await inside(() => import("../uml_host/watch_test.ts"), [
  // Stops the process of the service.
  "pulses on chip lines are edges with the kernel's times, causes and effects in order, and a record of them",
]);
