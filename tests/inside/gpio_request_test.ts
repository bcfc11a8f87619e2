import { inside } from "./inside.ts";

await inside(() => import("../uml_host/gpio_request_test.ts"), [
  // They count descriptors, which are those of other tests' threads as well.
  "a busy line names its consumer",
  "requests and chips leave no fd behind",
]);
