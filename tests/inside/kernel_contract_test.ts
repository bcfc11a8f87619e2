import { inside } from "./inside.ts";

await inside(() => import("../uml_host/kernel_contract_test.ts"), [
  // The double reports an edge at once.
  "kernel: a debounced line reports only what lasts",
  // Of the test machine, which was started for the test.
  "kernel: the clocks of timestamps are the ones asked for",
]);
