import { inside } from "./inside.ts";

await inside(() => import("../uml_host/gpio_chip_test.ts"), [
  // A link outside /dev, and a process with fewer rights.
  "Chip.open() takes a number, a name, a path and a link",
  "Chip.open() tells a forbidden chip from a busy one",
]);
