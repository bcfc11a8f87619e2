import { inside } from "./inside.ts";

await inside(() => import("../uml_host/gpio_events_test.ts"), [
  // A process of its own.
  "a program whose event loop was left ends by itself",
  // The double reports an edge at once.
  "a debounced line reports only what lasts",
  // They count descriptors, which are those of other tests' threads as well.
  "a loop that is left loses no event and leaves no fd",
  "closing the request ends a loop that waits",
  "Chip.infoEvents() yields them as they come, until closed",
]);
